"""Samples the machine and a job's processes, on a thread that is not the training's.

Its own process is best: where the training keeps Python's lock busy, a thread beside it waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clary.errors import ClaryError, StorageError
from clary.formats.profiler_configuration import DEFAULT_INTERVAL_MS, ProfilerConfiguration
from clary.formats.system_metrics import Metric, append_snapshot, record_failure
from clary.profiler.recording.telling import say
from clary.profiler.sampling.machine import Machine
from clary.profiler.sampling.process_tree import ProcessTree

if TYPE_CHECKING:
    from clary.profiler.sampling.gpus import Gpus

# So often a configuration that has been replaced is noticed, whatever the interval.
_SECONDS_BETWEEN_LOOKS = 1.0
# A last snapshot of less time than this part of the interval says nothing that is new.
_LEAST_PART = 0.25
_SECONDS_TO_END = 10.0


class SystemSampler:
    """Writes a snapshot of the machine every so often: `clary.formats.system_metrics`.

    Who owns it: whoever starts it, and stops it on the same thread. What it cannot measure or
    write it tells, once; it never raises, and goes on.

    Snapshots keep to a grid of the interval, whatever one of them takes. One that comes too late,
    on a machine that slept or is busy, stands for the time since the one before, and none is made
    up for those between. Rates are over the monotonic clock, times of the clock on the wall.
    """

    def __init__(
        self,
        folder: Path,
        node: str,
        interval_ms: int = DEFAULT_INTERVAL_MS,
        root_pid: int | None = None,
        configuration_file: Path | None = None,
        *,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            folder: the host's folder of the profiler; made when there is something to write.
            node: `algo-<n>`.
            interval_ms: between two snapshots, where no configuration says it.
            root_pid: a process whose tree is measured too; this one stands for what it starts.
            configuration_file: SageMaker's `profilerconfig.json`, which may be replaced at any
                time. While it is not there, nothing is sampled.
            tell: takes what goes wrong, in a sentence; by default stderr does.
        """
        self._folder = folder
        self._node = node
        self._configuration = ProfilerConfiguration(interval_ms=interval_ms)
        self._configuration_file = configuration_file
        self._seen: tuple[int, ...] | None = None
        self._tell = tell or say
        self._told: set[str] = set()
        self._lost = 0
        self._root_pid = root_pid
        self._parts: dict[str, Callable[[], list[Metric]]] = {}
        self._gpus: Gpus | None = None
        self._sampled_at: float | None = None
        self._written = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, on a thread of its own that does not keep the process alive."""
        name = "clary-system-sampler"
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take a last snapshot and end; a second time does nothing."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_SECONDS_TO_END)
            self._thread = None

    def run(self) -> None:
        """Sample on this thread until another calls `stop`."""
        try:
            self._sample_until_the_end()
        except Exception as error:  # noqa: BLE001 - what is watched goes on without
            self._fail(f"sampling the machine has ended: {type(error).__name__}: {error}")
        finally:
            if self._gpus is not None:
                self._gpus.close()

    def _sample_until_the_end(self) -> None:
        began, interval_s = 0.0, 0.0
        while True:
            self._reconfigure()
            if self._configuration.disabled:
                self._sampled_at = None
                if self._ended.wait(_SECONDS_BETWEEN_LOOKS):
                    return
                continue
            if self._sampled_at is None:
                self._begin()
                interval_s = 0.0
            if interval_s != self._configuration.interval_ms / 1000.0:
                began, interval_s = time.monotonic(), self._configuration.interval_ms / 1000.0
            now = time.monotonic()
            # The next point of the grid.
            due = began + interval_s * ((now - began) // interval_s + 1)
            if self._ended.wait(min(due - now, _SECONDS_BETWEEN_LOOKS)):
                self._take_last(interval_s)
                return
            if time.monotonic() >= due:
                self._take()

    def _begin(self) -> None:
        """Look at all counters, so that the first snapshot knows what has happened since."""
        if self._gpus is None:
            # Imported here: where nothing is sampled, nothing is loaded.
            from clary.profiler.sampling.gpus import Gpus

            self._gpus = Gpus(self._fail)
        # Anew: what happened while nothing was sampled belongs to no snapshot.
        self._parts = {"the machine": Machine().look}
        if self._root_pid is not None:
            self._parts["the processes"] = ProcessTree(self._root_pid).look
        self._parts["the GPUs"] = self._gpus.look
        self._look()
        self._sampled_at = time.monotonic()

    def _look(self) -> list[Metric]:
        metrics: list[Metric] = []
        for what, look in self._parts.items():
            try:
                metrics += look()
            except Exception as error:  # noqa: BLE001 - the others are looked at
                problem = f"{what} cannot be measured: {type(error).__name__}"
                self._fail(f"{problem}: {error}", kind=problem)
        return metrics

    def _take(self) -> None:
        at_s, self._sampled_at = time.time(), time.monotonic()
        metrics = self._look()
        try:
            append_snapshot(self._folder, self._node, at_s, metrics)
        except StorageError as error:
            self._lost += 1
            # Each minute has a file of its own, whose name stands in the sentence.
            self._fail(
                f"{error}; the machine is measured on, and what cannot be written is lost",
                kind=f"snapshots: {getattr(error.__cause__, 'errno', None)}",
            )
            return
        self._written = True
        if self._lost:
            record_failure(self._folder, f"{self._lost} snapshots are lost: they were not written")
            self._lost = 0

    def _take_last(self, interval_s: float) -> None:
        if self._sampled_at is None:
            return
        since = time.monotonic() - self._sampled_at
        if since >= interval_s * _LEAST_PART or not self._written:
            self._take()

    def _reconfigure(self) -> None:
        """Read the configuration where it was replaced; a damaged one changes nothing."""
        if self._configuration_file is None:
            return
        try:
            state = self._configuration_file.stat()
        except OSError:
            seen = (0, 0, 0)
        else:
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        if seen == self._seen:
            return
        self._seen = seen
        if seen == (0, 0, 0):
            self._configuration = replace(self._configuration, disabled=True)
            return
        try:
            self._configuration = ProfilerConfiguration.read(self._configuration_file)
        except ClaryError as error:
            problems = "; ".join(str(error).splitlines())
            self._fail(f"the configuration stays what it was: {problems}")

    def _fail(self, text: str, kind: str = "") -> None:
        """Tell of a failure, the first time.

        Args:
            text: the sentence.
            kind: what makes it the same failure, where sentences differ.
        """
        if (kind or text) not in self._told:
            self._told.add(kind or text)
            record_failure(self._folder, text)
            self._tell(text)
