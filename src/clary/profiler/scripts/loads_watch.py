"""Sees what batches take to load, in this process and in those that its loaders fork."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from clary.profiler.recording.step_recorder import StepRecorder
from clary.profiler.scripts.loader_watch import (
    MAIN_PROCESS,
    LoaderEvents,
    WorkersLoads,
    loading_of,
    pictures_loaded,
    watch_loaders,
)
from clary.profiler.scripts.patching import Patches, leave_methods_uncompiled


class LoadsWatch(LoaderEvents):
    """Writes a `LoadRecord` for each batch of all loaders, until it is closed."""

    def __init__(self, folder: Path, recorder: StepRecorder) -> None:
        self._folder = folder
        self._recorder = recorder
        self._owner = os.getpid()
        self._loads: WorkersLoads | None = None
        self._failed_in: int | None = None
        self._patches = Patches()
        leave_methods_uncompiled(type(self))
        watch_loaders(self._patches, self._events)

    def _events(self) -> LoadsWatch:
        return self

    def loaded(self, start_ns: int, cpu_s: float, batch: Any, asked_for: Any) -> None:
        """See `LoaderEvents`."""
        process = os.getpid()
        pictures = pictures_loaded(batch, asked_for)
        if process == self._owner:
            seconds = (perf_counter_ns() - start_ns) / 1e9
            self._recorder.add_load(start_ns, seconds, pictures, MAIN_PROCESS, cpu_s)
        elif self._failed_in != process:
            try:
                if self._loads is None or self._loads.process != process:
                    self._loads = WorkersLoads(self._folder, self._recorder.worker)
                self._loads.write(start_ns, cpu_s, pictures)
            except Exception:  # noqa: BLE001 - the process that trains tells of a full disk
                self._failed_in = process

    def workers_started(self, start_ns: int, loader: Any) -> None:
        """See `LoaderEvents`."""
        if os.getpid() == self._owner:
            label = f"{loading_of(loader).workers} workers"
            self._recorder.add_span("loader_start", start_ns, perf_counter_ns(), label)

    def close(self) -> None:
        """Let loaders be as they were."""
        self._patches.undo()
