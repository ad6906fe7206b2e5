"""Samples the machine while the user's code runs, where the job asks for it.

The host itself hardly computes, so that a thread of it is beside the training already. It begins
after the user's process, and loads what it needs by itself: nothing waits for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clary.formats.job_directory import JobDirectory
from clary.formats.launch import Launch

if TYPE_CHECKING:
    from clary.profiler.sampling.system_sampler import SystemSampler

_SECONDS_TO_END = 10.0
_SECONDS_BETWEEN_LOOKS = 1.0


class MachineWatch:
    """Samples from `start` to `stop`, both called by the thread that follows the child.

    What is sampled, and how often, stands in the job's `profilerconfig.json`, which the service
    may replace at any time; without one nothing is.
    """

    def __init__(self, launch: Launch, tell: Callable[[str], None]) -> None:
        """Nothing happens yet.

        Args:
            launch: whose host this process is.
            tell: takes what goes wrong, on another thread.
        """
        self._host = launch.host
        self._directory = JobDirectory(Path(launch.root))
        self._tell = tell
        self._sampler: SystemSampler | None = None
        self._ended = threading.Event()
        self._loaded = threading.Event()
        name = "clary-machine-watch"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin. No process may be forked from this one afterwards."""
        self._thread.start()

    def stop(self) -> None:
        """Take a last snapshot and end."""
        self._ended.set()
        self._loaded.wait(_SECONDS_TO_END)
        if self._sampler is not None:
            self._sampler.stop()
        self._thread.join(_SECONDS_TO_END)

    def _run(self) -> None:
        try:
            self._sampler = self._load()
        except Exception as error:  # noqa: BLE001 - the job goes on without
            self._tell(f"the machine is not sampled: {type(error).__name__}: {error}")
        finally:
            self._loaded.set()
        if self._sampler is not None:
            self._sampler.run()

    def _load(self) -> SystemSampler | None:
        """The sampler, once there is a configuration; None when the end comes before."""
        while not self._directory.profiler_configuration.exists():
            if self._ended.wait(_SECONDS_BETWEEN_LOOKS):
                return None

        from clary.profiler.sampling.system_sampler import SystemSampler

        return SystemSampler(
            self._directory.profiler,
            self._host,
            root_pid=os.getpid(),
            configuration_file=self._directory.profiler_configuration,
            tell=self._tell,
        )
