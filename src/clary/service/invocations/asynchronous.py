"""Asynchronous invocations: kept in the database until their answers lie in S3.

A kill at any moment loses none: what had been begun is begun again, and writes the same objects.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import mmap
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.errors import ClaryError
from clary.service.faults import Fault
from clary.service.invocations.async_requests import AsyncRequest, Place
from clary.service.invocations.connections import Body
from clary.service.invocations.hosting import Hosted, Hosting
from clary.service.state.async_invocations import RUNNING, AsyncRecord
from clary.service.state.state import State

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

INPUT_LIMIT_BYTES = 1 << 30
# What an instance works on at once where the endpoint's configuration does not say.
DEFAULT_CONCURRENCY = 4
# Each waits for its answer on a thread.
_RUNNING_LIMIT = 256
_LOOK_S = 0.1
_AFTER_REFUSAL_S = 0.5
_MAPPED_BYTES = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AsyncAnswer:
    """What is stored of an asynchronous invocation."""

    body: bytes
    content_type: str


Answering = Callable[[AsyncRecord, AsyncRequest, Body], AsyncAnswer]


class AsyncInvoking:
    """Begins asynchronous invocations in the order they came, as many as there are turns for.

    Owned by the service. One thread decides, each invocation runs on another.
    """

    def __init__(
        self, state: State, store: ObjectStore, hosting: Hosting, answer: Answering
    ) -> None:
        """Take up what `start` finds in the state.

        Args:
            state: keeps what was not answered.
            store: has the inputs, gets the answers.
            hosting: the endpoints.
            answer: asks an endpoint; raises Fault where the model or the request is to blame.
        """
        self._state = state
        self._store = store
        self._hosting = hosting
        self._answer = answer
        self._condition = threading.Condition()
        self._waiting: deque[AsyncRecord] = deque()
        self._running: Counter[int] = Counter()
        self._refused_s = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="clary-async", daemon=True)

    def start(self) -> None:
        """Take up all invocations that have not been answered.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._condition:
            self._waiting.extend(self._state.async_invocations.open())
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more; what runs is begun again by the next service."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()

    def submit(self, record: AsyncRecord) -> None:
        """Keep an invocation, and begin it in its turn.

        Raises:
            StorageError: the database cannot be written.
        """
        stored = self._state.async_invocations.add(record)
        with self._condition:
            self._waiting.append(stored)
            self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._closing:
                    self._condition.wait()
                if self._closing:
                    return
            try:
                self._begin_some()
            except Exception:
                logger.exception("asynchronous invocations are looked at again in a moment")
            with self._condition:
                if not self._closing:
                    self._condition.wait(_LOOK_S)

    def _begin_some(self) -> None:
        """Begin what has a turn; give up what has waited too long, or has lost its endpoint."""
        with self._condition:
            waiting = list(self._waiting)
        if time.monotonic() < self._refused_s:
            return
        full: set[int] = set()
        for record in waiting:
            if self._closing or record.endpoint_number in full:
                continue
            if int(time.time() * 1000) >= record.expires_ms:
                self._start(record, self._give_up)
                continue
            hosted = self._hosting.find(record.endpoint)
            if hosted is None or (
                isinstance(hosted, Hosted) and hosted.number != record.endpoint_number
            ):
                self._forget(record)
            elif isinstance(hosted, Hosted) and self._has_turn(record, hosted):
                self._start(record, self._invoke)
            else:
                full.add(record.endpoint_number)

    def _has_turn(self, record: AsyncRecord, hosted: Hosted) -> bool:
        client = (hosted.asynchronous or {}).get("ClientConfig") or {}
        each = client.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY)
        instances = sum(len(variant.replicas) for variant in hosted.variants)
        with self._condition:
            return (
                self._running[record.endpoint_number] < each * instances
                and self._running.total() < _RUNNING_LIMIT
            )

    def _start(self, record: AsyncRecord, work: Callable[[AsyncRecord], None]) -> None:
        with self._condition:
            self._waiting.remove(record)
            self._running[record.endpoint_number] += 1

        def run() -> None:
            try:
                work(record)
            except Exception:
                logger.exception("asynchronous invocation %s is tried again", record.id)
                self._again(record)
            finally:
                with self._condition:
                    self._running[record.endpoint_number] -= 1
                    self._condition.notify_all()

        threading.Thread(target=run, name="clary-async-invocation", daemon=True).start()

    def _again(self, record: AsyncRecord) -> None:
        """Let an invocation wait as the first of all."""
        with self._condition:
            self._refused_s = time.monotonic() + _AFTER_REFUSAL_S
            self._waiting.appendleft(record)

    def _forget(self, record: AsyncRecord) -> None:
        """The endpoint was deleted, and what waited for it with it."""
        with self._condition:
            self._waiting.remove(record)
        self._state.async_invocations.remove(record.id)

    def _give_up(self, record: AsyncRecord) -> None:
        request = AsyncRequest.of(record)
        waited_s = (record.expires_ms - record.created_ms) // 1000
        self._fail(record, request, f"The request has expired: it waited for {waited_s} seconds.")

    def _invoke(self, record: AsyncRecord) -> None:
        request = AsyncRequest.of(record)
        started_ms = int(time.time() * 1000)
        begun = self._state.async_invocations.change(
            record.id,
            lambda one: dataclasses.replace(
                one, status=RUNNING, started_ms=started_ms, attempts=one.attempts + 1
            ),
        )
        if begun is None:
            return  # its endpoint was deleted meanwhile
        try:
            answer = self._answer(record, *self._input(request))
        except Fault as fault:
            if self._closing:
                return
            if fault.status == 503:
                self._again(record)
            else:
                self._fail(record, request, fault.message)
            return
        except ClaryError as error:
            self._fail(record, request, str(error))
            return
        try:
            self._put(request.output, answer.body, answer.content_type)
        except ClaryError as error:
            self._fail(record, request, f"The answer could not be stored: {error}")
            return
        self._state.async_invocations.remove(record.id)

    def _input(self, request: AsyncRequest) -> tuple[AsyncRequest, Body]:
        """The body to send, which is of its object's type where the request does not say; a large
        object is read as it is sent.

        Raises:
            ClaryError: there is no such object, or it is too large.
        """
        if request.body is not None:
            return request, request.body
        assert request.input is not None
        opened = self._store.open(request.input.bucket, request.input.key)
        with opened.file:
            size = opened.info.size
            if size > INPUT_LIMIT_BYTES:
                raise ClaryError(
                    f"{request.input} has {size:,} bytes: an asynchronous invocation takes "
                    f"{INPUT_LIMIT_BYTES:,}"
                )
            kind = request.content_type or opened.info.content_type
            typed = dataclasses.replace(request, content_type=kind)
            if size < _MAPPED_BYTES:
                return typed, opened.file.read()
            return typed, memoryview(mmap.mmap(opened.file.fileno(), size, prot=mmap.PROT_READ))

    def _fail(self, record: AsyncRecord, request: AsyncRequest, reason: str) -> None:
        """Store the reason where failures go; the invocation is over either way."""
        if request.failure is None:
            logger.warning("asynchronous invocation %s failed: %s", record.id, reason)
        else:
            try:
                self._put(request.failure, reason.encode("utf-8", "replace"), "text/plain")
            except ClaryError as error:
                logger.warning(
                    "asynchronous invocation %s failed (%s), which could not be stored: %s",
                    record.id,
                    reason,
                    error,
                )
        self._state.async_invocations.remove(record.id)

    def _put(self, place: Place, body: bytes, content_type: str) -> None:
        self._store.put(place.bucket, place.key, io.BytesIO(body), content_type=content_type)
