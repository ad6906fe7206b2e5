"""Where launches arrive and signals are heard, while the one thread trains."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import FrameType

from clary.jobs.lane.hosted_job import HostedJob

_MESSAGE_BYTES = 4096
_BETWEEN_LOOKS_S = 0.05
# The signal that belongs to a wish may come when the job has already ended.
_SIGNAL_TRAVELS_S = 10.0
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


class Reception:
    """Takes launches, and holds the jobs until they have ended. Owned by the lane's thread.

    Args:
        service: the lane's end of a socket (SOCK_SEQPACKET); each message is the path of a
            `.launch.json`, with the job's lock as a descriptor.
    """

    def __init__(self, service: socket.socket) -> None:
        self._service = service
        service.setblocking(False)
        self._arrived: deque[HostedJob] = deque()
        self._jobs: list[HostedJob] = []
        self._ended: deque[tuple[float, HostedJob]] = deque()
        self._open = True
        self._signalled = False
        self._looked_at = 0.0
        self._wake, waking = os.pipe()
        for handle in (self._wake, waking):
            os.set_blocking(handle, False)
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when jobs end
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._printed = _take_standard_streams()
        self._printed_to = 0

    @property
    def is_open(self) -> bool:
        """Whether launches can still arrive."""
        return self._open

    @property
    def is_empty(self) -> bool:
        """Whether every job that came has ended, and has said so."""
        return not self._jobs

    def wait(self, seconds: float) -> None:
        """Until a launch, a signal or the end of the service comes, or the time is over."""
        asking = select.poll()  # select itself refuses descriptors from 1024 on
        asking.register(self._wake, select.POLLIN)
        if self._open:
            asking.register(self._service, select.POLLIN)
        asking.poll(seconds * 1000)
        self.look()

    def attend(self) -> None:
        """Look, where it is time to; cheap enough to be asked between steps."""
        if self._signalled or time.monotonic() - self._looked_at >= _BETWEEN_LOOKS_S:
            self.look()

    def look(self) -> None:
        """Take what has arrived, tell jobs of their wishes, and say what has ended."""
        self._pass_on_what_was_printed()
        if self._signalled:
            self._signalled = False
            _drain(self._wake)
            self._hear_signal()
        while self._open and self._receive():
            pass
        for job in [job for job in self._arrived if job.stop.requested]:
            self._arrived.remove(job)
            job.end_before_it_began()
        self._looked_at = time.monotonic()
        while self._ended and self._looked_at - self._ended[0][0] > _SIGNAL_TRAVELS_S:
            self._ended.popleft()
        for job in [job for job in self._jobs if job.settle()]:
            self._jobs.remove(job)
            self._ended.append((self._looked_at, job))

    def take(self) -> list[HostedJob]:
        """The jobs that have arrived and shall begin now."""
        taken = list(self._arrived)
        self._arrived.clear()
        return taken

    def close(self) -> bool:
        """Let no more launches come: whoever sends one from now on gets an error.

        Returns:
            Whether nobody is left; False where a launch had come at the last moment.
        """
        self._refuse_more()
        self.look()
        return not self._jobs

    def end_all(self, error: BaseException) -> None:
        """End every job with what this process has failed of, as far as it can be said."""
        for job in self._jobs:
            job.end(error)
        self.look()

    def _hear_signal(self) -> None:
        """Tell those whose end was asked for; where it was nobody's, this process's end was.

        Then all jobs stop, and the process ends with them.
        """
        known = [*self._jobs, *(job for _, job in self._ended)]
        if any(job.is_unwanted for job in known):
            for job in self._jobs:
                job.hear_wishes()
            return
        for job in self._jobs:
            job.stop.stop()
        self._refuse_more()

    def _refuse_more(self) -> None:
        if self._open:
            with suppress(OSError):  # the service's end is closed
                self._service.shutdown(socket.SHUT_RD)

    def _receive(self) -> bool:
        try:
            message, locks, _, _ = socket.recv_fds(self._service, _MESSAGE_BYTES, 1)
        except BlockingIOError:
            return False
        except ConnectionError:
            message, locks = b"", []
        if not message or not locks:
            self._open = False
            return False
        job = HostedJob.take(Path(os.fsdecode(message)), locks[0])
        if job is not None:
            self._jobs.append(job)
            self._arrived.append(job)
        return True

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled = True

    def _pass_on_what_was_printed(self) -> None:
        """Nobody can tell for which job a library printed it: it is in the log of each."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        new = os.fstat(self._printed).st_size - self._printed_to
        if not new:
            return
        printed = os.pread(self._printed, new, self._printed_to)
        for job in self._jobs:
            job.feed(printed)
        self._printed_to += len(printed)
        if not _freed(self._printed, self._printed_to):
            os.ftruncate(self._printed, 0)
            self._printed_to = 0


def _take_standard_streams() -> int:
    """Let what is printed go to a file in memory; returns its descriptor."""
    printed = os.memfd_create("printed")
    writing = os.open(f"/proc/self/fd/{printed}", os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, writing), (2, writing)):
        os.dup2(source, target)
    for handle in (writing, nothing):
        os.close(handle)
    return printed


def _freed(handle: int, length: int) -> bool:
    """Give back the memory of the beginning of a file; what others append stays where it is.

    Returns:
        False where the system cannot do so.
    """
    start, end = ctypes.c_int64(0), ctypes.c_int64(length)
    failed: int = ctypes.CDLL(None).fallocate(handle, _PUNCH_HOLE | _KEEP_SIZE, start, end)
    return not failed


def _drain(handle: int) -> None:
    try:
        while os.read(handle, 4096):
            pass
    except BlockingIOError:
        return
