"""What a host of a job is told, and what it tells: small files in the host's directory.

    .launch.json     `Launch`: what to run, where and with what     written before the start
    .lock            held with `flock` for as long as the host process lives
    .started.json    `HostStarted`: the user's code runs            written by the host
    .ended.json      `HostEnded`: how it ended                      written by the host
    .claimed         made by the process that is the host: of two, the first
    .stop, .kill     the host shall end, the second at once: made before SIGTERM is sent to it

A job is one directory per host: its own for `algo-1`, `hosts/algo-N` in it for the others. Beside
them `.launched` is made once, before the first host is started, and `logs/<host>.log` holds what
a host prints (`clary.formats.log_file`). A host whose lock is free and that has not said how it
ended is gone. Format version 1; see `docs/formats/launch.md`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from clary.errors import FormatError
from clary.formats.files import read_versioned_json, storage_errors, write_text

VERSION = 1
BASE = "/opt/ml"
FIRST_HOST = "algo-1"
# Asks the warm parent for a process that hosts many jobs, in place of a launch's path.
LANE = "lane"

# How the host's /opt/ml is made: a mount namespace of the process's own, bubblewrap, or not at
# all, so that only the variables say where things lie.
Isolation = Literal["namespace", "bubblewrap", "none"]


@dataclass(frozen=True)
class Mount:
    """A file or folder that is seen elsewhere in the host's own view of the disk, read-only.

    `changes` is a folder, with `upper` and `work` in it, that takes what the host writes there
    where the system can do so (overlayfs); the source stays as it is.
    """

    source: str
    target: str
    changes: str | None = None


@dataclass(frozen=True)
class PipeChannel:
    """A channel in Pipe mode: `folder/<name>_<epoch>`, one FIFO per epoch.

    `records` is a file of JSON lines; each is a record, a list of `{"path": …}` and
    `{"text": …}`. `shuffle_seed` None keeps their order.
    """

    name: str
    folder: str
    records: str
    gzip: bool = False
    recordio: bool = False
    shuffle_seed: int | None = None


@dataclass(frozen=True)
class InProcess:
    """The same program as `Launch.command`, for a process that has Python and torch loaded.

    `script` is a path, `module` a name; one of them is None. `search_path` comes before the
    interpreter's own, `threads` is for torch.
    """

    script: str | None
    module: str | None
    arguments: tuple[str, ...]
    search_path: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Launch:
    """One host of a job.

    `root` is the host's directory, `base` where its process sees it: `/opt/ml`, or `root` where
    nothing can be mounted. `in_process` is None where only a fresh interpreter will do.
    `notes` are logged before anything else. `script_mode` says that failures are worded as the
    training toolkit does. `token` marks every process of the launch, in `CLARY_LAUNCH`.
    """

    job: str
    host: str
    root: str
    base: str
    log: str
    isolation: Isolation
    command: tuple[str, ...]
    working_directory: str
    environment: Mapping[str, str]
    token: str
    script_mode: bool = False
    hosts: tuple[str, ...] = (FIRST_HOST,)
    mounts: tuple[Mount, ...] = ()
    pipes: tuple[PipeChannel, ...] = ()
    in_process: InProcess | None = None
    notes: tuple[str, ...] = ()
    version: int = field(default=VERSION)

    def write(self, files: HostFiles) -> None:
        """Write `.launch.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        _write(files.launch, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Launch:
        """Read `.launch.json`.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        content = read_versioned_json(path, VERSION)
        inside = content.get("in_process")
        try:
            return cls(
                job=content["job"],
                host=content["host"],
                root=content["root"],
                base=content["base"],
                log=content["log"],
                isolation=content["isolation"],
                command=tuple(content["command"]),
                working_directory=content["working_directory"],
                environment=content["environment"],
                token=content["token"],
                script_mode=content["script_mode"],
                hosts=tuple(content["hosts"]),
                mounts=tuple(Mount(**mount) for mount in content["mounts"]),
                pipes=tuple(PipeChannel(**pipe) for pipe in content["pipes"]),
                in_process=None if inside is None else _in_process(inside),
                notes=tuple(content["notes"]),
            )
        except (KeyError, TypeError) as error:
            raise FormatError(f"{path} is not a launch ({error}): start the job again") from error


@dataclass(frozen=True)
class HostStarted:
    """The user's code runs since `since_ms` (milliseconds since 1970).

    `pid` is the host process, `group` the process group of the user's code; None where the host
    process runs it itself, beside other jobs.
    """

    pid: int
    group: int | None
    since_ms: int
    version: int = VERSION

    def write(self, files: HostFiles) -> None:
        """Write `.started.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        _write(files.started, asdict(self))

    @classmethod
    def read(cls, files: HostFiles) -> HostStarted | None:
        """Read `.started.json`; None when the user's code has not started.

        Raises:
            FormatError: it is damaged, or of a later version.
        """
        return (
            cls(**read_versioned_json(files.started, VERSION)) if files.started.exists() else None
        )


@dataclass(frozen=True)
class HostEnded:
    """How the host ended: the exit code as a shell counts, and the reason where it is not 0."""

    exit_code: int
    failure: str | None
    at_ms: int
    version: int = VERSION

    def write(self, files: HostFiles) -> None:
        """Write `.ended.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        _write(files.ended, asdict(self))

    @classmethod
    def read(cls, files: HostFiles) -> HostEnded | None:
        """Read `.ended.json`; None when the host has not said how it ended.

        Raises:
            FormatError: it is damaged, or of a later version.
        """
        if not files.ended.exists():
            return None
        return cls(**read_versioned_json(files.ended, VERSION))


@dataclass(frozen=True)
class HostFiles:
    """The files of one host."""

    root: Path

    @property
    def launch(self) -> Path:
        """What to run."""
        return self.root / ".launch.json"

    @property
    def lock(self) -> Path:
        """Held while the host process lives; holds its process id."""
        return self.root / ".lock"

    @property
    def started(self) -> Path:
        """Says that the user's code runs."""
        return self.root / ".started.json"

    @property
    def ended(self) -> Path:
        """Says how the host ended."""
        return self.root / ".ended.json"

    @property
    def stop(self) -> Path:
        """Made when the host shall end, which may be before it can take a signal."""
        return self.root / ".stop"

    @property
    def kill(self) -> Path:
        """Made when the host shall end without letting the user's code do anything more."""
        return self.root / ".kill"

    def claim(self) -> bool:
        """Become the host, in the host's own process; False where another process is.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = self.root / ".claimed"
        with storage_errors(path):
            try:
                path.open("x").close()
            except FileExistsError:
                return False
            return True

    def hold(self) -> int:
        """Take the lock; the descriptor is handed on to the host process.

        Raises:
            StorageError: the file cannot be made, or a process holds it.
        """
        with storage_errors(self.lock):
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                raise
            return handle

    def is_held(self) -> bool:
        """Whether the host process lives."""
        try:
            handle = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def holder(self) -> int | None:
        """The process id of the host while it lives; None before it has written it, and after."""
        text = self.lock.read_text() if self.is_held() else ""
        return int(text) if text.isdigit() else None


def host_root(job_root: Path, host: str) -> Path:
    """The directory of a host: that of the job for the first one."""
    return job_root if host == FIRST_HOST else job_root / "hosts" / host


def host_log(job_root: Path, host: str) -> Path:
    """Where the log of a host is."""
    return job_root / "logs" / f"{host}.log"


def launched_marker(job_root: Path) -> Path:
    """Made once, before the first host of a job is started."""
    return job_root / ".launched"


def _in_process(content: Mapping[str, Any]) -> InProcess:
    return InProcess(
        script=content["script"],
        module=content["module"],
        arguments=tuple(content["arguments"]),
        search_path=tuple(content["search_path"]),
        threads=content["threads"],
    )


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content) + "\n")
    with storage_errors(path):
        path.chmod(0o600)
