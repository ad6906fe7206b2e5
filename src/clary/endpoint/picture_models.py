"""The models of a server of pictures: loaded when they are asked for, the least used one let go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clary.endpoint.invocation import Refusal
from clary.endpoint.runtimes import Runtime, Stream, open_runtime
from clary.errors import ClaryError, ModelError
from clary.formats.converted_model import ConvertedModel, ConvertedPrecision
from clary.formats.replica import ReplicaSettings
from clary.settings import Settings
from clary.vision.cores import usable_cores

# Opens the model of settings.
OpenRuntime = Callable[[ReplicaSettings], Runtime]


@dataclass(frozen=True)
class LoadedModel:
    """A model, and a stream of it for each thread."""

    runtime: Runtime
    streams: Sequence[Stream]


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
        self._threads = settings.workers
        self._loaded: OrderedDict[str, asyncio.Task[LoadedModel]] = OrderedDict()

    @property
    def threads(self) -> int:
        """How many threads there are streams for."""
        return self._threads or usable_cores()

    async def load_only(self) -> LoadedModel:
        """Load the one model, and count its threads by what it wants.

        Raises:
            ClaryError: it cannot be loaded.
        """
        runtime = await asyncio.to_thread(self._opens, self._settings)
        self._threads = self._settings.workers or runtime.streams_wanted
        streams = await asyncio.to_thread(runtime.streams, self._threads)
        return LoadedModel(runtime, streams)

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
        task = self._loaded.get(name)
        if task is None:
            folder = Path(self._settings.model) / name
            if "/" in name or name.startswith(".") or not folder.is_dir():
                raise Refusal(404, f"no model {name[:200]!r} is served here")
            task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._load, folder))
            self._loaded[name] = task
            while len(self._loaded) > self._settings.models_kept:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(name)
        try:
            # Others may wait for it too, whoever gives up.
            return await asyncio.shield(task)
        except ClaryError as error:
            if self._loaded.get(name) is task:
                del self._loaded[name]
            raise Refusal(500, f"model {name!r} cannot be loaded: {error}") from error

    def _load(self, folder: Path) -> LoadedModel:
        converted = ConvertedModel.of(folder, Settings.from_environment().cache_dir)
        kind: ConvertedPrecision = "int8" if self._settings.precision == "int8" else "fp32"
        if not converted.has(kind):
            _convert(folder)
        one = self._settings.model_copy(
            update={
                "model": str(folder),
                "converted": str(converted.folder),
                "multi_model": False,
            }
        )
        runtime = self._opens(one)
        return LoadedModel(runtime, runtime.streams(self.threads))


def _convert(folder: Path) -> None:
    """Convert a model, in a process that may import torch."""
    done = subprocess.run(
        [sys.executable, "-m", "clary.jobs.convert", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("clary: ")
        raise ModelError(said or f"its conversion ended with {done.returncode}")
