"""Starting host processes (`clary.jobs.host`), whatever they host."""

from __future__ import annotations

import subprocess
import sys
import threading

from clary.errors import ClaryError
from clary.formats.launch import HostFiles
from clary.service.executors.surroundings import inherited_environment
from clary.service.executors.warm_hosts import WarmParent


class HostProcesses:
    """Forks hosts from the warm parent where there is one, else starts them. Thread-safe.

    Hosts live in sessions of their own and outlive this object.

    Args:
        warm: forks hosts; None starts all of them cold.
    """

    def __init__(self, warm: WarmParent | None) -> None:
        self._warm = warm
        self._lock = threading.Lock()
        self._started_here: list[subprocess.Popen[bytes]] = []

    def start(
        self, files: HostFiles, lock: int, *, warm: bool = True, patience_s: float = 0.0
    ) -> None:
        """Start the host whose launch file is written.

        Args:
            files: the host's.
            lock: the host's lock, held; the caller closes its own descriptor.
            warm: it may be a fork.
            patience_s: how long to wait for a warm parent that is still loading.

        Raises:
            ClaryError: no process can be started.
        """
        if warm and self._warm is not None:
            if patience_s:
                self._warm.wait(patience_s)
            if self._warm.fork(files.launch, lock):
                return
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "clary.jobs.host", str(files.launch), str(lock)],
                pass_fds=[lock],
                env={**inherited_environment(), "PYTHONSAFEPATH": "1"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise ClaryError(f"no process can be started for {files.root.name}: {error}") from error
        with self._lock:
            self._started_here.append(process)

    def reap(self) -> None:
        """Take note of hosts that have ended."""
        with self._lock:
            self._started_here = [one for one in self._started_here if one.poll() is None]
