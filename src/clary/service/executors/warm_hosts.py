"""The service's end of the warm parent: `clary.jobs.warm_parent`."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from clary.formats.launch import LANE

_ANSWER_S = 10.0
_MESSAGE_BYTES = 4096
_POLL_S = 0.05
_LONGEST_WAIT_S = 60.0


class WarmParent:
    """A process with torch loaded that forks hosts. Thread-safe.

    It is started at once, ends with this object or with the service, and is started again after
    it was lost. Until it has loaded everything, `fork` refuses and hosts start cold.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._closed = False
        self._warm = False
        self._starts = 0
        self._unanswered = 0
        # How often in a row it ended before it had loaded everything.
        self._early_ends = 0
        self._started_at = time.monotonic()
        self._socket, self._process = self._start()

    @property
    def is_warm(self) -> bool:
        """Whether everything is loaded."""
        with self._lock:
            return self._look_if_warm()

    def wait(self, seconds: float) -> bool:
        """Wait until everything is loaded, at most so long; whether it is.

        One that ends meanwhile is not waited for again: where torch cannot be loaded, nothing
        is ever warm.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            starts = self._starts
        while True:
            with self._lock:
                if self._look_if_warm():
                    return True
                lost = starts != self._starts or self._process.poll() is not None
            if self._closed or lost or time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)

    def fork(self, launch_file: Path, lock: int) -> bool:
        """Start a host that holds `lock`.

        Returns:
            False where it cannot do so, and the host has to be started another way. A parent that
            is lost at this moment may have forked: of two processes for one host the first one
            runs (`HostFiles.claim`).
        """
        return self._ask(os.fsencode(launch_file), lock)

    def fork_lane(self, launches: int) -> bool:
        """Start a process that hosts what arrives on a socket: `clary.jobs.lane`.

        Returns:
            False where it cannot do so.
        """
        return self._ask(LANE.encode(), launches)

    def promise_lane(self, launches: int) -> int | None:
        """Let `fork_lane` be done as soon as everything is loaded, even if the service is gone.

        Returns:
            What `keeps` is asked with; None where nothing is being loaded.
        """
        with self._lock:
            if self._look_if_warm() or self._closed:
                return None
            try:
                socket.send_fds(self._socket, [LANE.encode()], [launches])
            except OSError:
                return None
            self._unanswered += 1
            return self._starts

    def keeps(self, promise: int) -> bool | None:
        """Whether a promise is kept: None until it is known, False where the process was lost."""
        with self._lock:
            warm = self._look_if_warm()
            if self._closed or promise != self._starts or self._process.poll() is not None:
                return False
            return warm or None

    def _ask(self, message: bytes, handle: int) -> bool:
        with self._lock:
            if not self._look_if_warm():
                return False
            try:
                socket.send_fds(self._socket, [message], [handle])
                answered = b"?"
                for _ in range(self._unanswered + 1):
                    answered = answered and self._socket.recv(_MESSAGE_BYTES)
                self._unanswered = 0
            except OSError:
                answered = b""
            if not answered:
                self._restart()
            return bool(answered)

    def close(self) -> None:
        """End it; the hosts that it forked live on."""
        with self._lock:
            self._closed = True
            self._end()

    def _look_if_warm(self) -> bool:
        if self._closed:
            return False
        if self._process.poll() is not None:
            self._restart_in_time()
            return False
        if not self._warm and _can_read(self._socket):
            self._warm = self._socket.recv(_MESSAGE_BYTES) == b"warm"
            self._early_ends = 0 if self._warm else self._early_ends
        return self._warm

    def _start(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_ANSWER_S)
        # Inherited: an interpreter that is still starting would answer SIGINT with a traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with theirs:
                handle = theirs.fileno()
                process = subprocess.Popen(
                    [sys.executable, "-m", "clary.jobs.warm_parent", str(handle)],
                    pass_fds=[handle],
                    env=self._environment,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return ours, process

    def _restart_in_time(self) -> None:
        """Restart one that has ended; one that cannot load what it is to load, ever less often."""
        if not self._warm:
            wait_s = min(2.0**self._early_ends, _LONGEST_WAIT_S)
            if time.monotonic() < self._started_at + wait_s:
                return
            self._early_ends += 1
        self._restart()

    def _restart(self) -> None:
        self._end()
        self._warm = False
        self._starts += 1
        self._unanswered = 0
        self._started_at = time.monotonic()
        self._socket, self._process = self._start()

    def _end(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()


def _can_read(ours: socket.socket) -> bool:
    asking = select.poll()  # select itself refuses descriptors from 1024 on
    asking.register(ours, select.POLLIN)
    return bool(asking.poll(0))
