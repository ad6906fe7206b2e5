"""The models of a server of pictures: loaded when they are asked for, the least used one let go."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import numpy as np

from clary.cores import usable_cores
from clary.endpoint.codecs import Cropper
from clary.endpoint.invocation import Refusal
from clary.endpoint.runtimes import Runtime, Stream, open_runtime
from clary.errors import ClaryError, ModelError
from clary.formats.converted_model import ConvertedModel, ConvertedPrecision
from clary.formats.replica import ReplicaSettings
from clary.settings import Settings

_LOADED_AT_ONCE = 2
_CONVERSION_S = 300.0
# Threads that decode what comes next while all streams are taken: without one, cores stand by.
_AHEAD = 1

# Opens the model of settings.
OpenRuntime = Callable[[ReplicaSettings], Runtime]


class LoadedModel:
    """A model, and streams of it that threads take in turn; `crop` is for all of them.

    `failures` counts how often running it has failed since it answered last, and `failure` says
    how. `failing` is whether it has failed at a picture of the server's own as well: that those of
    others make it fail may be their fault.
    """

    def __init__(self, runtime: Runtime, streams: int, max_pixels: int) -> None:
        """Make the streams.

        Args:
            runtime: of the model.
            streams: how many.
            max_pixels: of one picture file.
        """
        self.runtime = runtime
        self.streams = streams
        self.crop = Cropper(runtime.preprocessing, max_pixels=max_pixels)
        self.failures = 0
        self.failure = ""
        self.failing = False
        self._whole: Stream | None = None
        self._whole_taken = Lock()
        # The one that has rested longest is the next.
        self._free: SimpleQueue[Stream] = SimpleQueue()
        for stream in runtime.streams(streams):
            self._free.put(stream)

    def open_whole(self) -> None:
        """Let who is alone have all cores from now on. Takes as long as opening the model."""
        whole = self.runtime.whole()
        if whole is not None:
            side = self.runtime.preprocessing.image_size
            whole.probabilities(np.zeros((1, side, side, 3), np.uint8))
        self._whole = whole

    @contextmanager
    def stream(self, *, alone: bool = False) -> Iterator[Stream]:
        """A stream for this thread alone, once one is free.

        Args:
            alone: whether nothing else is asked of this machine: one over all its cores is the
                fastest then.
        """
        if alone and self._whole is not None and self._whole_taken.acquire(blocking=False):
            try:
                yield self._whole
            finally:
                self._whole_taken.release()
            return
        stream = self._free.get()
        try:
            yield stream
        finally:
            self._free.put(stream)


@dataclass(frozen=True)
class _Kept:
    """A model that is loaded or on its way, and which folder of its name it is of."""

    folder: tuple[int, int]
    loading: asyncio.Task[LoadedModel]

    @property
    def has_failed(self) -> bool:
        """Whether it could not be loaded, which may be otherwise the next time."""
        done = self.loading.done()
        return done and (self.loading.cancelled() or self.loading.exception() is not None)


class PictureModels:
    """One model, or with `multi_model` a folder of them. Lives on one event loop."""

    def __init__(self, settings: ReplicaSettings, opens: OpenRuntime = open_runtime) -> None:
        """Load nothing yet.

        Args:
            settings: the replica's.
            opens: how a model is opened; on a thread.
        """
        self._settings = settings
        self._opens = opens
        self._streams = settings.workers
        self._loaded: OrderedDict[str, _Kept] = OrderedDict()
        # Conversions take a process with torch in it each: a few at once are enough.
        self._loaders = ThreadPoolExecutor(_LOADED_AT_ONCE, "load")

    @property
    def threads(self) -> int:
        """How many threads keep the streams busy: one more of them decodes what comes next."""
        return (self._streams or usable_cores()) + _AHEAD

    async def load_only(self) -> LoadedModel:
        """Load the one model, and count its threads by what it wants.

        Raises:
            ClaryError: it cannot be loaded.
        """
        runtime = await asyncio.to_thread(self._opens, self._settings)
        self._streams = self._settings.workers or runtime.streams_wanted
        return await asyncio.to_thread(self._loaded_model, runtime)

    async def get(self, name: str | None) -> LoadedModel:
        """A model of the folder, loaded where it is not yet.

        Args:
            name: of its folder.

        Raises:
            Refusal: 400, no model is named; 404, there is none of that name; 500, it cannot be
                loaded.
        """
        if not name:
            raise Refusal(400, "several models are served here, and the request names none")
        folder = Path(self._settings.model) / name
        identity = None if "/" in name or name.startswith(".") else _identity(folder)
        if identity is None:
            raise Refusal(404, f"no model {name[:200]!r} is served here")
        kept = self._loaded.get(name)
        # A folder that was replaced is another model.
        if kept is None or kept.folder != identity or kept.has_failed:
            kept = _Kept(identity, asyncio.ensure_future(self._load_soon(folder)))
            self._loaded[name] = kept
            while len(self._loaded) > self._settings.models_kept:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(name)
        try:
            # Others may wait for it too, whoever gives up.
            return await asyncio.shield(kept.loading)
        except Exception as error:
            if self._loaded.get(name) is kept:
                del self._loaded[name]
            why = error if isinstance(error, ClaryError) else f"{type(error).__name__}: {error}"
            raise Refusal(500, f"model {name!r} cannot be loaded: {why}") from error

    def close(self) -> None:
        """Load nothing more."""
        self._loaders.shutdown(wait=False, cancel_futures=True)

    async def _load_soon(self, folder: Path) -> LoadedModel:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._loaders, self._load, folder)

    def _load(self, folder: Path) -> LoadedModel:
        converted = ConvertedModel.of(folder, Settings.from_environment().cache_dir)
        kind: ConvertedPrecision = "int8" if self._settings.precision == "int8" else "fp32"
        # int8 needs pictures, which nobody has here: opening it says so.
        if kind == "fp32" and not converted.has(kind):
            _convert(folder)
        one = self._settings.model_copy(
            update={
                "model": str(folder),
                "converted": str(converted.folder),
                "multi_model": False,
            }
        )
        return self._loaded_model(self._opens(one))

    def _loaded_model(self, runtime: Runtime) -> LoadedModel:
        streams = self._streams or usable_cores()
        return LoadedModel(runtime, streams, self._settings.max_pixels)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_mtime_ns) if stat.S_ISDIR(found.st_mode) else None


def _convert(folder: Path) -> None:
    """Convert a model, in a process that may import torch."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "clary.jobs.convert", str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CONVERSION_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"its conversion was not done within {_CONVERSION_S:g} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("clary: ")
        raise ModelError(said or f"its conversion ended with {done.returncode}")
