"""The thread that writes a timeline: the training gives away what it saw, and goes on.

What cannot be written is kept and tried again, as a full disk may be freed; it is said once. On a
failure of its own it says so and takes nothing more. A fork has no such thread, and writes nothing
of what its parent has seen.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from clary.errors import StorageError
from clary.formats.timeline import Facts, LoadRecord, LoadWriter, Span, StepRecord, TimelineWriter
from clary.profiler.recording.claims import claim_worker, release_worker
from clary.profiler.recording.telling import say

SECONDS_BETWEEN_WRITES = 0.5
SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_FACTS = 5.0
SECONDS_BETWEEN_TRIALS = 5.0
# Operators of the last steps may still have to be added up.
SECONDS_FOR_LAST_WORK = 25.0
SECONDS_BETWEEN_LAST_LOOKS = 0.05
SECONDS_TO_CLOSE = 30.0
# What is held back while a disk takes nothing: some ten megabytes.
HELD_RECORDS = 100_000


class Pending(NamedTuple):
    """Work that waits for another process: `again` is done soon, `abandon` when it is too late."""

    again: Work
    abandon: Callable[[], None]


Work = Callable[[TimelineWriter], "Pending | None"]
"""What the thread that writes is to do. Steps are written before and after it, and not within."""


class TimelineThread:
    """Writes the timeline of one process. The thread that trains gives, another one writes.

    Args:
        folder: the host's folder of the profiler.
        worker: `worker_<rank>`; another living process of that name makes this one take its own.
        facts: gives what is known of the process now, from the folder of its timeline; called from
            the thread that writes.
        look: called every few seconds on the thread that writes.
    """

    def __init__(
        self, folder: Path, worker: str, facts: Callable[[Path], Facts], look: Callable[[], None]
    ) -> None:
        self.worker = self._asked_for = worker
        self._folder = folder
        self._facts = facts
        self._look = look
        self._steps: deque[StepRecord] = deque()
        self._loads: deque[LoadRecord] = deque()
        self._works: deque[Work] = deque()
        self._pending: deque[Pending] = deque()
        self.lost = False
        """Whether nothing can be written any more, for a failure that has been told."""
        self._ending = threading.Event()
        self._process = os.getpid()
        self._facts_due = True
        self._facts_written = -SECONDS_BETWEEN_FACTS
        self._facts_failed = False
        self._tried = -SECONDS_BETWEEN_TRIALS
        self._failing = False
        self._dropped = False
        self._writer: TimelineWriter | None = None
        self._load_writer: LoadWriter | None = None
        self._thread = threading.Thread(target=self._run, name="clary-profiler", daemon=True)
        self._thread.start()

    def step(self, record: StepRecord) -> None:
        """Give a step away."""
        if not self.lost:
            self._steps.append(record)

    def load(self, record: LoadRecord) -> None:
        """Give a batch away that this process has loaded."""
        if not self.lost:
            self._loads.append(record)

    def span(self, span: Span) -> None:
        """Give a span away."""
        self.do(lambda writer: writer.write_span(span))

    def do(self, work: Work) -> None:
        """Let the thread that writes do some work; what it raises is told as a failure."""
        if not self.lost:
            self._works.append(work)

    def facts_changed(self) -> None:
        """Facts are to be written anew, soon."""
        self._facts_due = True

    def fail(self, text: str) -> None:
        """Put a sentence among the failures."""
        self.do(lambda writer: writer.record_failure(text))

    def close(self) -> bool:
        """Write what waits, and end; False when that takes too long, which nobody has told yet."""
        if os.getpid() != self._process:
            return False
        self._facts_due = True
        self._facts_written = -SECONDS_BETWEEN_FACTS
        self._ending.set()
        self._thread.join(SECONDS_TO_CLOSE)
        return not self._thread.is_alive()

    def _run(self) -> None:
        looked = time.monotonic()
        while True:
            ending = self._ending.wait(SECONDS_BETWEEN_WRITES)
            now = time.monotonic()
            if now - looked >= SECONDS_BETWEEN_LOOKS:
                looked = now
                with suppress(Exception):
                    self._look()
            if ending or not self._failing or now - self._tried >= SECONDS_BETWEEN_TRIALS:
                self._try(now)
            if ending:
                self._finish()
                return

    def _finish(self) -> None:
        """Wait for the other processes that there still are, but not for ever."""
        until = time.monotonic() + SECONDS_FOR_LAST_WORK
        while self._pending and not self._failing and time.monotonic() < until:
            time.sleep(SECONDS_BETWEEN_LAST_LOOKS)
            self._try(time.monotonic())
        while self._pending:
            self._pending.popleft().abandon()
            self.fail("operators are not recorded: the training ended before they were added up")
            self._try(time.monotonic())
        if self._writer is not None:
            self._writer.close()
            release_worker(self._folder, self._asked_for)

    def _try(self, now: float) -> None:
        if self.lost:
            return
        self._tried = now
        try:
            self._write(now)
            self._failing = False
        except (StorageError, OSError) as error:
            if not self._failing:
                say(f"{error}; the training goes on, and what is seen meanwhile may be lost")
            self._failing = True
            self._hold_back()
        except Exception as error:  # noqa: BLE001 - the training goes on unwatched
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.lost = True
        text = f"writing the timeline has failed: {type(error).__name__}: {error}"
        say(f"{text}; the training goes on unwatched")
        if self._writer is not None:
            self._writer.record_failure(text)
        for held in (self._steps, self._loads, self._works):
            held.clear()

    def _hold_back(self) -> None:
        for held in (self._steps, self._loads):
            while len(held) > HELD_RECORDS:
                held.popleft()
                self._dropped = True

    def _write(self, now: float) -> None:
        if self._writer is None:
            if not (self._steps or self._loads or self._works):
                return
            self._writer = self._begin()
        writer = self._writer
        if self._dropped:
            writer.record_failure("steps are missing, because the disk took none for a while")
            self._dropped = False
        self._write_records(writer)
        if self._facts_due and now - self._facts_written >= SECONDS_BETWEEN_FACTS:
            self._facts_due = False
            self._facts_written = now
            self._write_facts(writer)
        for _ in range(len(self._pending)):
            pending = self._do(self._pending[0].again, writer)
            self._pending.popleft()
            if pending is not None:
                self._pending.append(pending)
        while self._works:
            pending = self._do(self._works[0], writer)
            self._works.popleft()
            if pending is not None:
                self._pending.append(pending)
            self._write_records(writer)

    def _write_records(self, writer: TimelineWriter) -> None:
        _write_all(self._steps, writer.write_steps)
        if self._loads and self._load_writer is None:
            self._load_writer = LoadWriter(self._folder, self.worker)
        while self._loads and self._load_writer is not None:
            self._load_writer.write(self._loads[0])
            self._loads.popleft()

    def _write_facts(self, writer: TimelineWriter) -> None:
        try:
            writer.write_facts(self._facts(writer.folder))
        except (StorageError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - facts are no reason to lose steps
            if not self._facts_failed:
                self._facts_failed = True
                writer.record_failure(
                    f"the facts are left as they were: {type(error).__name__}: {error}"
                )

    def _do(self, work: Work, writer: TimelineWriter) -> Pending | None:
        try:
            return work(writer)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - the training goes on without it
            writer.record_failure(f"{type(error).__name__}: {error}")
            return None

    def _begin(self) -> TimelineWriter:
        self.worker = claim_worker(self._folder, self._asked_for)
        return TimelineWriter(self._folder, self.worker)


def _write_all(held: deque[StepRecord], write: Callable[[list[StepRecord]], None]) -> None:
    records = list(held)
    write(records)
    for _ in records:
        held.popleft()
