"""A job whose host is this process, beside others: its lock, its log, and how it ends."""

from __future__ import annotations

import io
import os
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from rich.console import Console

from clary import clock
from clary.errors import ClaryError, Interrupted, StorageError
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import HostEnded, HostFiles, HostStarted, Launch
from clary.jobs.host.failures import failure_reason, killed_by, last_error, written_failure
from clary.jobs.host.log_writer import LogWriter
from clary.vision.finetuning import StopRequest

_EXIT_STOPPED = 128 + signal.SIGTERM
_EXIT_KILLED = 128 + signal.SIGKILL
_EXIT_BROKEN = 1
# A disk that takes no end file for so long does not hold up everybody else's end.
ROOM_S = 600.0


class HostedJob:
    """One job from its launch to its end file. Owned by the lane's thread.

    It holds the job's lock until its end is written. `stop` is set when the job shall end.
    """

    def __init__(self, launch: Launch, lock: int) -> None:
        self.launch = launch
        self.files = HostFiles(Path(launch.root))
        self.directory = JobDirectory(Path(launch.root))
        self.stop = StopRequest()
        self.began = time.monotonic()
        self._lock = lock
        self._log = LogWriter(Path(launch.log))
        self._started: HostStarted | None = HostStarted(os.getpid(), None, clock.now_ms())
        self._ended: HostEnded | None = None
        self._ended_at = 0.0
        self.console = Console(file=cast(IO[str], _LogStream(self._log)), soft_wrap=True)

    @classmethod
    def take(cls, launch_file: Path, lock: int) -> HostedJob | None:
        """Become a job's host; None where another process is, or this one cannot be.

        A host that cannot read its launch cannot say so either: its lock is let go.
        """
        files = HostFiles(launch_file.parent)
        try:
            launch = Launch.read(launch_file)
            if not files.claim():
                os.close(lock)
                return None
            os.set_inheritable(lock, False)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            job = cls(launch, lock)
        except (ClaryError, OSError) as error:
            with suppress(StorageError):
                HostEnded(_EXIT_BROKEN, str(error), clock.now_ms()).write(files)
            os.close(lock)
            return None
        # Whoever wants to stop the host makes the file first and then looks for the process id.
        job.hear_wishes()
        for note in launch.notes:
            job.print(note)
        return job

    @property
    def is_killed(self) -> bool:
        """Whether it shall end without doing anything more."""
        return self.files.kill.exists()

    @property
    def is_unwanted(self) -> bool:
        """Whether somebody has asked for its end."""
        return self.files.stop.exists() or self.is_killed

    def hear_wishes(self) -> None:
        """Ask the job to stop where somebody has asked for its end."""
        if self.is_unwanted:
            self.stop.stop()

    def print(self, text: str) -> None:
        """Write a line into the log."""
        self._log.say(text)

    def feed(self, block: bytes) -> None:
        """Write what libraries have printed into the log."""
        if self._ended is None:
            self._log.feed(block)

    def end(self, error: BaseException | None = None) -> None:
        """The job is over; `settle` says so.

        Args:
            error: what ended it, None where it went well.
        """
        if self._ended is not None:
            return
        code = 0 if error is None else self._explain(error)
        failure = None
        if isinstance(error, Interrupted) and not self.is_killed:
            failure = str(error)  # no error of the algorithm's
        elif code:
            said = written_failure(self.directory) or killed_by(code) or last_error(self._log.tail)
            failure = failure_reason(code, said)
        self._say_end(code, failure)

    def end_before_it_began(self) -> None:
        """The job was stopped while it waited."""
        code = _EXIT_KILLED if self.is_killed else _EXIT_STOPPED
        self._say_end(code, "stopped before it had begun")

    def settle(self) -> bool:
        """Write what there is to say of start and end; again later where the disk is full.

        Returns:
            Whether the job has ended and everything is said: its lock is free. It is free as well
            when there was no room for the end for `ROOM_S`: the job is found to be gone then.
        """
        try:
            if self._started is not None and self._ended is None:
                self._started.write(self.files)
                self._started = None
            if self._ended is None:
                return False
            self._ended.write(self.files)
        except StorageError:
            if self._ended is None or time.monotonic() - self._ended_at < ROOM_S:
                return False
        os.close(self._lock)
        return True

    def _say_end(self, code: int, failure: str | None) -> None:
        self._log.close()
        self._ended = HostEnded(code, failure, clock.now_ms())
        self._ended_at = time.monotonic()

    def _explain(self, error: BaseException) -> int:
        """Log the error as the program alone would end with it, and give its exit code."""
        if self.is_killed:
            return _EXIT_KILLED
        if not isinstance(error, ClaryError):
            self.feed("".join(traceback.format_exception(error)).encode("utf-8", "replace"))
            return _EXIT_BROKEN
        if not isinstance(error, Interrupted):
            try:
                self.directory.write_failure(str(error))
            except StorageError as full:
                self.print(f"clary: {full}")
        for line in str(error).splitlines():
            self.print(f"clary: {line}")
        return error.exit_code


class _LogStream(io.TextIOBase):
    """What a console writes goes into a job's log."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of a log file."""
        return "utf-8"

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take some text; whole lines are written."""
        self._log.feed(text.encode("utf-8", "backslashreplace"))
        return len(text)
