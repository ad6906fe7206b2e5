"""The service's end of lanes: processes that host many trials of a tuning job (`clary.jobs.lane`).

Trials that share a frozen backbone (`clary.formats.builtin_algorithm.lane_key`) go to one process.
A lane ends by itself when nothing has come for a while, and, once its jobs have ended, when the
service is gone; the next trial then makes another one.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import NamedTuple

from clary.errors import ClaryError
from clary.formats.builtin_algorithm import lane_key
from clary.formats.launch import Launch
from clary.gpus import count_gpus
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.places import HostPlace
from clary.service.executors.surroundings import inherited_environment
from clary.service.executors.warm_hosts import WarmParent

# A lane that trains reads many times a second, and has room for dozens of launches besides.
_SEND_S = 0.5

Key = tuple[str, str]


class Lanes:
    """Thread-safe. Owned by the executor, which closes it.

    Args:
        warm: forks lanes; None starts them cold.
    """

    def __init__(self, warm: WarmParent | None) -> None:
        self._warm = warm
        self._lock = threading.Lock()
        self._lanes: dict[Key, _Lane] = {}
        self._started_cold: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def key(job: TrainingJobSpec) -> Key | None:
        """What jobs have in common that share a process; None where one has its own."""
        shared = lane_key(job.request, count_gpus()) if job.tuning_job is not None else None
        return None if job.tuning_job is None or shared is None else (job.tuning_job, shared)

    def start(self, key: Key, host: HostPlace, lock: int) -> None:
        """Hand a host to its lane, which is started where there is none.

        Args:
            key: of the lane.
            host: whose launch file is written.
            lock: the host's lock, held; the caller closes its own descriptor.

        Raises:
            ClaryError: no process can be started.
            FormatError: the launch file cannot be read.
        """
        with self._lock:
            lane = self._lanes.setdefault(key, _Lane())
        # Nobody waits for a lane that does not read but those who want that one.
        with lane.lock:
            if _sent(lane.launches, host, lock):
                return
            lane.let_go()
            self._open(lane, Launch.read(host.files.launch))
            if not _sent(lane.launches, host, lock):
                raise ClaryError(f"the process for {host.root.name} ended as it started")

    def reap(self) -> None:
        """Let go of what belongs to lanes that have ended."""
        with self._lock:
            self._started_cold = [one for one in self._started_cold if one.poll() is None]
            lanes = list(self._lanes.values())
        for lane in lanes:
            if lane.lock.acquire(blocking=False):  # one that is spoken to has not ended
                try:
                    self._settle(lane)
                    if lane.launches is not None and _has_ended(lane.launches):
                        lane.let_go()
                finally:
                    lane.lock.release()

    def close(self) -> None:
        """Let go of the lanes; they go on until their jobs have ended."""
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            with lane.lock:
                self._settle(lane, closing=True)
                lane.let_go()

    def _open(self, lane: _Lane, first: Launch) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_SEND_S)
        lane.launches = ours
        if self._warm is not None and first.in_process is not None:
            if self._warm.fork_lane(theirs.fileno()):
                theirs.close()
                return
            # It has begun to load before a cold process could, and both would be in each other's
            # way; launches wait in the socket.
            promise = self._warm.promise_lane(theirs.fileno())
            if promise is not None:
                lane.promise = _Promise(promise, theirs, first)
                return
        with theirs:
            self._start_cold(theirs.fileno(), first)

    def _settle(self, lane: _Lane, *, closing: bool = False) -> None:
        """Start a lane cold where what was to fork it is lost, or is about to be ended."""
        promise = lane.promise
        if promise is None or self._warm is None:
            return
        kept = self._warm.keeps(promise.number)
        if kept is None and not closing:
            return
        lane.promise = None
        with promise.theirs:
            # Should both come to be, each takes what the other has not taken.
            if not kept or closing:
                self._start_cold(promise.theirs.fileno(), promise.first)

    def _start_cold(self, handle: int, first: Launch) -> None:
        # What is read while libraries are loaded has to be there from the start.
        asked = dict(first.environment) if first.in_process is None else inherited_environment()
        # The mark of one job: whoever ends what that job has left behind looks for it.
        asked.pop("CLARY_LAUNCH", None)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "clary.jobs.lane", str(handle)],
                pass_fds=[handle],
                env={**asked, "PYTHONSAFEPATH": "1"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise ClaryError(f"no process can be started for {first.job}: {error}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with self._lock:
            self._started_cold.append(process)


class _Promise(NamedTuple):
    """A lane that is forked as soon as the warm parent is warm; its end of the socket."""

    number: int
    theirs: socket.socket
    first: Launch


class _Lane:
    """The service's end of a lane; None while there is none. `lock` is held while it is spoken to.

    It ends with its jobs when it was let go of.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.launches: socket.socket | None = None
        self.promise: _Promise | None = None

    def let_go(self) -> None:
        """Send it nothing more."""
        if self.launches is not None:
            self.launches.close()
            self.launches = None
        if self.promise is not None:
            self.promise.theirs.close()
            self.promise = None


def _sent(lane: socket.socket | None, host: HostPlace, lock: int) -> bool:
    """Give a launch to a lane; False where there is none, or it takes no more."""
    if lane is None:
        return False
    try:
        socket.send_fds(lane, [os.fsencode(host.files.launch)], [lock])
    except OSError:
        return False
    return True


def _has_ended(lane: socket.socket) -> bool:
    asking = select.poll()  # select itself refuses descriptors from 1024 on
    asking.register(lane, 0)
    return bool(asking.poll(0))
