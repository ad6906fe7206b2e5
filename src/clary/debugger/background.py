"""The thread that writes: it takes recordings in their order and never keeps the training waiting.

What it cannot write it says in the log's failures and on stderr, once; then the hook lets go.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from clary.debugger.distribution import Updates
from clary.debugger.recording import Recording
from clary.formats.tensor_log import TensorLogWriter, write_passes
from clary.formats.tensor_log.entries import CollectionRecord, Mode
from clary.formats.tensor_log.layout import WorkerPaths

# More is held back only where the disk is slower than the training.
RECORDINGS = 64
BYTES = 512 << 20
SECONDS_TO_CLOSE = 60.0
SECONDS_BETWEEN_SEALS = 1.0

SECONDS_BETWEEN_COUNTS = 2.0

Passes = Callable[[], Mapping[Mode, int]]
Describe = Callable[[dict[str, set[str]]], Sequence[CollectionRecord]]


class Background:
    """Writes recordings into a tensor log. Made and used by the thread that trains.

    Args:
        folder: of the log.
        worker: who writes.
        describe: the collections, with the tensors that were found to belong to them.
        passes: how many forward passes were counted, by mode.
    """

    def __init__(self, folder: Path, worker: str, describe: Describe, passes: Passes) -> None:
        self._folder = folder
        self._worker = worker
        self._describe = describe
        self._passes = passes
        self._passes_kept: tuple[float, Mapping[Mode, int]] = (0.0, {})
        self._queue: deque[Recording] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ending = False
        self._flushing = 0
        self._busy = False
        self._dropped = 0
        self._failure: str | None = None
        self._notes: deque[str] = deque()
        self._thread = threading.Thread(target=self._run, name="clary-debugger", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why nothing is written any more; None while all is well."""
        if self._failure is None and not self._thread.is_alive() and not self._ending:
            return "the thread that writes has ended"
        return self._failure

    def offer(self, recording: Recording) -> bool:
        """Give a recording away; False when too many wait already, and it is dropped."""
        with self._changed:
            full = len(self._queue) >= RECORDINGS or (
                bool(self._queue) and self._bytes + recording.nbytes > BYTES
            )
            if full:
                self._dropped += 1
            else:
                self._queue.append(recording)
                self._bytes += recording.nbytes
            self._changed.notify_all()
        return not full

    def has_room(self) -> bool:
        """Whether a further recording is worth its copies; when not, it counts as dropped."""
        with self._changed:
            room = len(self._queue) < RECORDINGS and (not self._queue or self._bytes < BYTES)
            self._dropped += not room
        return room

    def note(self, text: str) -> None:
        """Put a sentence among the log's failures."""
        with self._changed:
            self._notes.append(text)
            self._changed.notify_all()

    def flush(self, timeout: float = SECONDS_TO_CLOSE) -> bool:
        """Wait until readers see all that was given; False when that takes too long."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: not self._flushing or not self._thread.is_alive(), timeout
            )

    def close(self, timeout: float = SECONDS_TO_CLOSE) -> bool:
        """Write what waits and end; False when that takes too long."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        writer: TensorLogWriter | None = None
        try:
            writer = TensorLogWriter(
                self._folder, worker=self._worker, collections=self._describe({})
            )
            self._write_all(writer)
            writer.close()
        except Exception as error:  # noqa: BLE001 - the training goes on without the hook
            self._fail(error, writer)
        finally:
            with self._changed:
                self._queue.clear()
                self._flushing = 0
                self._changed.notify_all()

    def _fail(self, error: Exception, writer: TensorLogWriter | None) -> None:
        text = f"{type(error).__name__}: {error}"
        self._failure = text
        say(f"writing what was seen has failed: {text}; the training goes on unwatched")
        if writer is not None:
            writer.record_failure(f"writing what was seen has failed: {text}")
            with suppress(Exception):
                writer.close()

    def _write_all(self, writer: TensorLogWriter) -> None:
        updates, members = Updates(), dict[str, set[str]]()
        told = 0
        while True:
            recording, dropped, notes, flushing, ending = self._next()
            self._keep_passes(at_once=ending and recording is None)
            for note in notes:
                writer.record_failure(note)
            if dropped and not told:
                writer.record_failure(
                    "captures are dropped, because writing takes longer than the training: "
                    "capture less often, or fewer whole tensors"
                )
            told = dropped
            if recording is not None:
                writer.write(recording.capture(updates))
                if _joined(members, recording.members):
                    writer.describe(self._describe(members))
                continue
            if flushing:
                writer.flush()
                with self._changed:
                    self._flushing = max(0, self._flushing - flushing)
                    self._changed.notify_all()
            writer.seal_when_due()
            if ending:
                if dropped:
                    writer.record_failure(f"{dropped} captures were dropped in all")
                return

    def _keep_passes(self, *, at_once: bool) -> None:
        now, passes = time.monotonic(), self._passes()
        kept_at, kept = self._passes_kept
        if passes == kept or not (at_once or now - kept_at >= SECONDS_BETWEEN_COUNTS):
            return
        self._passes_kept = now, passes
        # A disk that takes nothing is told of by the next capture.
        with suppress(OSError):
            write_passes(WorkerPaths(self._folder, self._worker), passes)

    def _next(self) -> tuple[Recording | None, int, list[str], int, bool]:
        """What is to be done: a recording, or, when there is none, all the rest."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._queue or self._ending or self._flushing or self._notes,
                SECONDS_BETWEEN_SEALS,
            )
            recording = self._queue.popleft() if self._queue else None
            if recording is not None:
                self._bytes -= recording.nbytes
            notes = list(self._notes)
            self._notes.clear()
            return recording, self._dropped, notes, self._flushing, self._ending


def say(text: str) -> None:
    """One line for the person who trains; a closed stderr is no reason to stop."""
    with suppress(OSError, ValueError):
        print(f"clary debugger: {text}", file=sys.stderr, flush=True)


def _joined(members: dict[str, set[str]], more: dict[str, set[str]]) -> bool:
    """Add what is new; whether something was."""
    new = False
    for collection, names in more.items():
        known = members.setdefault(collection, set())
        new = new or not names <= known
        known |= names
    return new
