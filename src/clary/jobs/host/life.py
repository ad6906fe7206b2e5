"""A host from its launch to its end file.

    view → child → log, until the child ends → everything it left behind ends → reason → end file

SIGTERM is passed on to the child's process group. The child dies with this process, and whatever
it left behind is adopted and ended by this process.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import FrameType

from clary import clock
from clary.errors import ClaryError, StorageError
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import HostEnded, HostFiles, HostStarted, Launch
from clary.jobs.host import namespace
from clary.jobs.host.failures import (
    failure_reason,
    killed_by,
    last_error,
    script_failure,
    written_failure,
)
from clary.jobs.host.log_writer import LogWriter
from clary.jobs.host.machine_watch import MachineWatch
from clary.jobs.host.pipes import feed_pipes, make_first_pipes
from clary.jobs.host.user_code import run_user_code

_PR_SET_CHILD_SUBREAPER = 36
_BLOCK_BYTES = 1 << 16
_DRAIN_S = 2.0
_PARENT, _GROUP = 1, 2
_ROOM_S = 600.0
_RETRY_S = 1.0
_PATIENCE_S = 30.0
_EXIT_STOPPED = 128 + signal.SIGTERM
_EXIT_KILLED = 128 + signal.SIGKILL


class _Child:
    """The user's process, as the host sees it.

    `wrapped`: the process is bubblewrap, which would take the user's process with it.
    """

    def __init__(self, files: HostFiles, *, wrapped: bool) -> None:
        self.files = files
        self.wrapped = wrapped
        self.pid = 0
        self.status: int | None = None
        self.asked_to_stop = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self.asked_to_stop = True
        if not self.pid or self.status is not None:
            return
        if self.files.kill.exists():
            _signal_group(self.pid, signal.SIGKILL)
            return
        inside = _processes(_GROUP, self.pid) if self.wrapped else []
        for pid in inside:
            if pid != self.pid:
                _signal_process(pid, signal.SIGTERM)
        if len(inside) < 2:
            _signal_group(self.pid, signal.SIGTERM)

    def reap(self) -> None:
        """Take note of every process that has ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    @property
    def exit_code(self) -> int:
        """As a shell counts."""
        code = os.waitstatus_to_exitcode(self.status or 0)
        return code if code >= 0 else 128 - code


class _Said:
    """What other threads say to the one that follows the child, which is woken by it."""

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._notes: deque[str] = deque()
        self.broken: list[str] = []

    def fail(self, sentence: str) -> None:
        """The child is to be ended, for this reason."""
        self.broken.append(sentence)
        self._wake_up()

    def note(self, sentence: str) -> None:
        """A line for the log, of the profiler."""
        self._notes.append(f"clary profiler: {sentence}")
        self._wake_up()

    def log_notes(self, log: LogWriter) -> None:
        while self._notes:
            log.say(self._notes.popleft())

    def _wake_up(self) -> None:
        with suppress(BlockingIOError):  # what is in the pipe will do
            os.write(self._wake, b"\0")


def live(launch_file: Path, lock: int, *, may_run_here: bool) -> int:
    """Run the host.

    Args:
        launch_file: `.launch.json`.
        lock: the host's lock, held.
        may_run_here: this process is a fork that has torch loaded.

    Returns:
        What the process shall end with.

    Raises:
        ClaryError: the launch cannot be read, or the end cannot be written.
    """
    os.set_inheritable(lock, False)
    launch = Launch.read(launch_file)
    files = HostFiles(Path(launch.root))
    if not files.claim():
        return 0
    child = _Child(files, wrapped=launch.isolation == "bubblewrap")
    signal.signal(signal.SIGTERM, child.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    # Whoever wants to stop the host makes the file first and then looks for the process id.
    child.asked_to_stop |= files.stop.exists() or files.kill.exists()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log = None
    try:
        log = LogWriter(Path(launch.log))
        for note in launch.notes:
            log.say(note)
        if launch.isolation == "namespace":
            for refused in namespace.enter(launch):
                log.say(refused)
        make_first_pipes(launch.pipes)
    except (ClaryError, OSError) as error:
        if log is not None:
            log.say(f"clary: {error}")
            log.close()
        _tell(HostEnded(1, str(error), clock.now_ms()), files)
        return 1

    if child.asked_to_stop:
        log.close()
        code = _EXIT_KILLED if files.kill.exists() else _EXIT_STOPPED
        _tell(HostEnded(code, "stopped before it had begun", clock.now_ms()), files)
        return 0

    reading, wake_reading, wake_writing = _start_child(launch, child, here=may_run_here)
    started = HostStarted(os.getpid(), child.pid, clock.now_ms())
    said = _Said(wake_writing)
    watch = MachineWatch(launch, said.note)
    watch.start()
    feed_pipes(launch.pipes, said.fail)
    _follow(child, started, said, (reading, wake_reading), log)
    watch.stop()
    said.log_notes(log)
    if said.broken:
        log.say(f"clary: {said.broken[0]}")
        ended = HostEnded(child.exit_code or 1, f"ClientError: {said.broken[0]}", clock.now_ms())
    else:
        failure = _failure(launch, child, log)
        ended = HostEnded(child.exit_code, failure, clock.now_ms())
    log.close()
    _tell(ended, files)
    return 0


def _start_child(launch: Launch, child: _Child, *, here: bool) -> tuple[int, int, int]:
    """Fork the user's process.

    Returns:
        What it prints; what wakes this process, and the other end of that.
    """
    parent = os.getpid()
    reading, writing = os.pipe()
    wake_reading, wake_writing = os.pipe()
    for handle in (reading, wake_reading, wake_writing):
        os.set_blocking(handle, False)
    signal.set_wakeup_fd(wake_writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    # A stop that comes now has to reach the child, not the handler that it inherits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child.pid = os.fork()
    if child.pid == 0:
        run_user_code(launch, writing, parent, here=here)
    os.close(writing)
    _own_group(child.pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return reading, wake_reading, wake_writing


def _follow(
    child: _Child,
    started: HostStarted,
    said: _Said,
    handles: tuple[int, int],
    log: LogWriter,
) -> None:
    """Write the log until the child has ended, then end what it left behind.

    Args:
        child: whose output it is.
        started: is written as soon as the disk takes it; the log does not wait for that.
        said: what other threads say.
        handles: the child's output, and what wakes this process.
        log: takes the lines.
    """
    reading, wake = handles
    watched = [reading, wake]
    told = False
    while child.status is None:
        told = told or _is_told(started, child.files)
        if said.broken:
            _signal_group(child.pid, signal.SIGKILL)
        ready, _, _ = select.select(watched, [], [], _PATIENCE_S if told else _RETRY_S)
        if reading in ready and not _read(reading, log):
            watched.remove(reading)
        if wake in ready:
            os.read(wake, 4096)
        said.log_notes(log)
        child.reap()
    _end_what_is_left(child)
    deadline = time.monotonic() + _DRAIN_S
    while reading in watched and (left := deadline - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0] or not _read(reading, log):
            break


def _read(handle: int, log: LogWriter) -> bool:
    """Take one block; False at the end of the pipe."""
    try:
        block = os.read(handle, _BLOCK_BYTES)
    except BlockingIOError:
        return True
    log.feed(block)
    return bool(block)


def _end_what_is_left(child: _Child) -> None:
    _signal_group(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline:
        child.reap()
        # Processes that have lost their parent come to this one.
        adopted = _processes(_PARENT, os.getpid())
        if not adopted:
            return
        for pid in adopted:
            _signal_process(pid, signal.SIGKILL)
        time.sleep(0.005)


def _processes(field: int, value: int) -> list[int]:
    """All processes of which a field of /proc/PID/stat has a value."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold spaces: count the fields after it.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended between the listing and the reading
            continue
        if int(fields[field]) == value:
            found.append(int(stat.parent.name))
    return found


def _failure(launch: Launch, child: _Child, log: LogWriter) -> str | None:
    """The reason for an exit code other than 0; `output/failure` and `output/success` on the way.

    The toolkit writes `output/failure` where the script has not, so that it can be read there too.
    """
    directory = JobDirectory(Path(launch.root))
    code = child.exit_code
    if code == 0:
        if launch.script_mode:
            with suppress(OSError):  # the end file says so, too
                (directory.root / "output" / "success").touch()
        return None
    said = written_failure(directory)
    if not said:
        if launch.script_mode:
            said = script_failure(code, list(log.tail), " ".join(launch.command))
            with suppress(StorageError):  # the reason stands in the end file, too
                directory.write_failure(said)
        else:
            said = killed_by(code) or last_error(log.tail)
    return failure_reason(code, said)


def _own_group(pid: int) -> None:
    """Done on both sides of the fork, so that neither has to wait for the other."""
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        return  # it has run a program, or ended, and had done it before


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _signal_process(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _tell(ended: HostEnded, files: HostFiles) -> None:
    """Write how the host ended; on a full disk as soon as there is room again."""
    deadline = time.monotonic() + _ROOM_S
    while time.monotonic() < deadline:
        if _is_told(ended, files):
            return
        time.sleep(_RETRY_S)
    ended.write(files)


def _is_told(what: HostStarted | HostEnded, files: HostFiles) -> bool:
    """Whether the disk has room for it."""
    try:
        what.write(files)
    except StorageError:
        return False
    return True
