"""All objects of a host: several requests at once, every output in the order of its records.

    objects ─ payloads ─▶ threads, a request each ─▶ answers, in order ─▶ output/data/N

An output appears once it is whole. An object that fails has none, and the others go on.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from clary.formats.files import storage_errors
from clary.formats.transform_plan import InputObject, TransformPlan, output_file
from clary.jobs.transform.failures import ObjectFailure
from clary.jobs.transform.payloads import Payload, payloads
from clary.jobs.transform.processing import Processing
from clary.jobs.transform.records import opened

# How many requests are prepared or answered for each that is made.
_AHEAD = 2
_TELL_S = 10.0


@dataclass
class Outcome:
    """How it went: objects with and without an output, and the first that has none."""

    done: int = 0
    failed: int = 0
    requests: int = 0
    first: tuple[InputObject, ObjectFailure] | None = None


class _Output:
    """The result for one object, while it is written."""

    def __init__(self, path: Path, one: InputObject) -> None:
        self.object = one
        self.failure: ObjectFailure | None = None
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._file: IO[bytes] | None = None

    def append(self, answer: bytes, *, line: bool) -> None:
        with storage_errors(self._path):
            file = self._opened()
            file.write(answer)
            if line and not answer.endswith(b"\n"):
                file.write(b"\n")

    def close(self) -> None:
        """Put it in place, or forget it where the object has failed."""
        with storage_errors(self._path):
            if self.failure is None:
                file = self._opened()
                file.flush()
                os.fsync(file.fileno())
                file.close()
                self._partial.replace(self._path)
            elif self._file is not None:
                self._file.close()
                self._partial.unlink()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._partial.open("wb")
        return self._file


class _Pending(NamedTuple):
    """A request that was made; `answer` None stands for the end of its object."""

    output: _Output
    answer: Future[bytes] | None


class Feeder:
    """Takes objects to the model and writes what it answers.

    Args:
        plan: how.
        folder: the host's.
        invoke: asks the model; called on several threads at once.
        concurrent: on how many.
        say: takes lines for the job's log.

    Raises:
        FormatError: records and filters do not go together.
    """

    def __init__(
        self,
        plan: TransformPlan,
        folder: Path,
        invoke: Callable[[bytes], bytes],
        *,
        concurrent: int,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._invoke = invoke
        self._say = say
        self._processing = Processing(plan)
        self._concurrent = concurrent
        self._pending: deque[_Pending] = deque()
        # Putting an output on the disk takes as long as a quick model does.
        self._closing: deque[Future[None]] = deque()
        self._outcome = Outcome()
        self._told_at = time.monotonic()

    def run(self, objects: Iterable[InputObject]) -> Outcome:
        """Transform all of them.

        Raises:
            ServerGone: the model server has ended.
            StorageError: an output cannot be written.
        """
        pool = ThreadPoolExecutor(self._concurrent, thread_name_prefix="transform")
        try:
            for number, one in enumerate(objects):
                self._feed(pool, _Output(output_file(self._folder, number), one))
            while self._pending:
                self._settle(pool, self._pending.popleft())
            self._close(at_most=0)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return self._outcome

    def _feed(self, pool: ThreadPoolExecutor, output: _Output) -> None:
        try:
            with opened(output.object.path, self._plan) as file:
                for payload in payloads(file, self._plan, self._processing):
                    self._wait(pool, _Pending(output, pool.submit(self._transform, payload)))
                    if output.failure is not None:
                        break
        except ObjectFailure as failure:
            self._fail(output, failure)
        self._wait(pool, _Pending(output, None))

    def _transform(self, payload: Payload) -> bytes:
        return self._processing.stored(payload.sources, self._invoke(payload.body))

    def _wait(self, pool: ThreadPoolExecutor, pending: _Pending) -> None:
        self._pending.append(pending)
        while len(self._pending) > _AHEAD * self._concurrent:
            self._settle(pool, self._pending.popleft())

    def _close(self, at_most: int) -> None:
        """Wait until at most so many outputs are still to be put on the disk."""
        while len(self._closing) > at_most:
            self._closing.popleft().result()

    def _settle(self, pool: ThreadPoolExecutor, pending: _Pending) -> None:
        output, answer = pending
        if answer is None:
            self._closing.append(pool.submit(output.close))
            self._close(at_most=_AHEAD * self._concurrent)
            if output.failure is None:
                self._outcome.done += 1
            self._tell()
        elif output.failure is not None and answer.cancel():
            return
        else:
            self._outcome.requests += 1
            try:
                answered = answer.result()
            except ObjectFailure as failure:
                self._fail(output, failure)
            else:
                if output.failure is None:
                    output.append(answered, line=self._plan.lines)

    def _fail(self, output: _Output, failure: ObjectFailure) -> None:
        if output.failure is not None:
            return
        output.failure = failure
        self._outcome.failed += 1
        self._outcome.first = self._outcome.first or (output.object, failure)
        where = output.object.uri.removeprefix("s3://")
        self._say(f"{where}: {failure.head}")
        if failure.sentence not in failure.head:
            self._say(f"{where}: Message: {failure.sentence}")

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            count = self._outcome.done + self._outcome.failed
            self._say(f"{count} objects so far, {self._outcome.failed} of them failed")
