"""A process that runs people's handlers: one request at a time, on a model that it keeps.

    python -m clary.endpoint.worker SOCKET FOLDER     in the interpreter of people's requirements
    run_worker(SOCKET, settings, environment)         in a fork that has torch loaded

It connects to the server, learns its number, loads the model, says that it is ready, and answers.
A model that cannot be loaded is no reason to end: whoever asks for an answer is told why, and the
next request tries again, as SageMaker's containers do. When the server is gone the worker waits
for the next one, its model loaded.

Runs in other people's environments: nothing but the standard library is imported before their
code is.
"""

from __future__ import annotations

import faulthandler
import io
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, Protocol

from clary.cores import usable_cores
from clary.endpoint.frames import Frame, FrameError, receive, send
from clary.endpoint.handlers.code_folder import CodeFolder
from clary.endpoint.handlers.model_cache import ModelCache
from clary.endpoint.handlers.requests import Request
from clary.gpus import visible_gpus

_MOST_WORKERS = 4
# Behind everything else on the path: what people bring themselves goes first.
SHIMS = Path(__file__).resolve().parents[1] / "shims" / "serving"


class WorkerSettings(Protocol):
    """What a worker wants to know of `clary.formats.replica.ReplicaSettings`."""

    @property
    def model(self) -> str:
        """The model folder, or the folder of model folders."""

    @property
    def multi_model(self) -> bool:
        """Whether there are several models."""

    @property
    def models_kept(self) -> int:
        """How many of several models stay loaded."""

    @property
    def workers(self) -> int | None:
        """How many workers there are, where somebody has said so."""


def worker_count(settings: WorkerSettings, environment: Mapping[str, str]) -> int:
    """How many workers a replica has: as is said, else one for each GPU, else one for each core.

    Of cores four count at most, for each worker has a model of its own in memory. What variables
    say of workers stands in the settings already (`clary.endpoint.container_variables`).
    """
    if settings.workers is not None:
        return settings.workers
    return len(visible_gpus(environment)) or min(usable_cores(), _MOST_WORKERS)


def run_worker(socket_path: str, settings: WorkerSettings, environment: Mapping[str, str]) -> int:
    """Answer what the server hands over until it says that this is the end.

    Args:
        socket_path: where the server listens.
        settings: what to serve.
        environment: becomes that of this process.

    Returns:
        What the process shall end with.
    """
    wanted = dict(environment)
    os.environ.clear()
    os.environ.update(wanted)
    if not settings.multi_model and CodeFolder.of(settings.model, wanted).hidden():
        _begin_anew(socket_path, settings)
    return _work(socket_path, settings)


def _work(socket_path: str, settings: WorkerSettings) -> int:
    models: ModelCache | None = None
    number: int | None = None
    while (connection := _connect(socket_path)) is not None:
        with connection, suppress(OSError):
            send(connection, Frame("hello", {"pid": os.getpid(), "number": number}))
            welcome = receive(connection)
            if welcome is None:
                continue
            if welcome.kind != "welcome":
                raise FrameError(f"a server says {welcome.kind!r} before it says welcome")
            if models is None:
                number = int(welcome.told["number"])
                gpu = welcome.told["gpu"]
                _settle(number, welcome.told["threads"], gpu)
                # The only one that this process sees.
                models = ModelCache(settings, os.environ, gpu=None if gpu is None else 0)
            send(connection, Frame("ready", {"failure": models.prepare()}))
            if not _answer_all(connection, models):
                return 0
    return 0


def _begin_anew(socket_path: str, settings: WorkerSettings) -> NoReturn:
    """Go on in a fresh interpreter: the script brings modules that are loaded here already."""
    told = {name: getattr(settings, name) for name in _TOLD}
    module = "clary.endpoint.worker"
    os.execv(sys.executable, [sys.executable, "-m", module, socket_path, json.dumps(told)])


def _connect(path: str) -> socket.socket | None:
    """Connect to the server; None when nobody listens there any more."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _answer_all(connection: socket.socket, models: ModelCache) -> bool:
    """Answer until the server is gone; False when it has said that this is the end."""
    while (frame := receive(connection)) is not None:
        if frame.kind == "end":
            return False
        answer = models.answer(Request(body=frame.body, **frame.told))
        _flush()
        told = {
            "status": answer.status,
            "content_type": answer.content_type,
            "headers": dict(answer.headers),
            "us": answer.model_us,
            "models": models.loaded,
        }
        send(connection, Frame("answer", told, answer.body))
    return True


def _flush() -> None:
    """Write out what a handler has printed; streams may be of its own making."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _settle(number: int, threads: int, gpu: str | None) -> None:
    """Be worker `number`: its lines in the log, its share of the machine."""
    for handle, name in ((1, "stdout"), (2, "stderr")):
        stream = io.TextIOWrapper(
            io.BufferedWriter(_LabelledLines(handle, f"[worker {number}] ".encode())),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable(2)
    logging.basicConfig(
        stream=sys.stdout, format="%(message)s", level=_log_level(os.environ), force=True
    )
    logging.getLogger().handlers[0].addFilter(_is_printed_by_nobody_else)
    asked = os.environ.setdefault("OMP_NUM_THREADS", str(threads)).partition(",")[0]
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        # A fork has what its parent read when it loaded OpenMP.
        torch.seed()
        torch.set_num_threads(int(asked) if asked.isdigit() and int(asked) else threads)
    if str(SHIMS) not in sys.path:
        sys.path.append(str(SHIMS))


def _log_level(environment: Mapping[str, str]) -> int:
    """What handlers log from this level on is printed, as in SageMaker's containers."""
    asked = environment.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "").strip()
    if asked.isdigit():
        return int(asked)
    known = logging.getLevelName(asked.upper())
    return known if isinstance(known, int) else logging.INFO


def _is_printed_by_nobody_else(record: logging.LogRecord) -> bool:
    """Whether no logger on the way to the root, which scripts give handlers to, prints it."""
    logger = logging.getLogger(record.name)
    while logger.parent is not None:
        if any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers):
            return False
        if not logger.propagate:
            break
        logger = logger.parent
    return True


class _LabelledLines(io.RawIOBase):
    """A descriptor whose every line begins with a label, in one write where it is whole."""

    def __init__(self, handle: int, label: bytes) -> None:
        super().__init__()
        self._handle = handle
        self._label = label
        self._within = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle

    def write(self, data: Any, /) -> int:
        text = bytes(data)
        lines = text.splitlines(keepends=True) or [b""]
        labelled = [self._label + line for line in lines]
        if self._within:
            labelled[0] = lines[0]
        self._within = not text.endswith((b"\n", b"\r")) if text else self._within
        rest = b"".join(labelled) if text else b""
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        return len(text)


@dataclass(frozen=True)
class _Settings:
    """The settings without pydantic, which people's requirements may have another one of."""

    model: str
    multi_model: bool = False
    models_kept: int = 4
    workers: int | None = None


_TOLD = tuple(field.name for field in fields(_Settings))


def main(arguments: Sequence[str]) -> int:
    """Be a worker.

    Args:
        arguments: where the server listens; the replica's folder, which holds `replica.json`, or
            what of that a worker wants to know.
    """
    # `python -m` looks in the current folder first; people's code must not be found there.
    sys.path[:] = [path for path in sys.path if path not in {"", str(Path.cwd())}]
    socket_path, said = arguments
    text = said if said.startswith("{") else Path(said, "replica.json").read_text("utf-8")
    told = {name: value for name, value in json.loads(text).items() if name in _TOLD}
    return _work(socket_path, _Settings(**told))


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
