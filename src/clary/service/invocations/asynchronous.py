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
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary import clock
from clary.errors import ClaryError, StorageError
from clary.service.faults import Fault
from clary.service.invocations.async_requests import AsyncRequest, Place
from clary.service.invocations.backlog import WAITING_LIMIT_EACH, Backlog
from clary.service.invocations.connections import Body
from clary.service.invocations.faults import has_exited, overloaded
from clary.service.invocations.hosting import Hosted, Hosting
from clary.service.state.async_invocations import RUNNING, WAITING, AsyncRecord, AsyncTicket
from clary.service.state.state import State

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

INPUT_LIMIT_BYTES = 1 << 30
# What an instance works on at once where the endpoint's configuration does not say.
DEFAULT_CONCURRENCY = 4
# How often a replica is asked, where each went away over it.
ATTEMPTS = 3
_LOOK_S = 0.1
_AFTER_REFUSAL_S = 0.5
# What a full disk or a lack of files needs to pass.
_AFTER_FAILURE_S = 5.0
_EXPIRED_EVERY_S = 0.1
_EXPIRED_AT_ONCE = 8
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
        self._backlog = Backlog()
        self._expired_due_s = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="clary-async", daemon=True)

    def start(self) -> None:
        """Take up all invocations that have not been answered.

        Raises:
            StorageError: the database cannot be read.
        """
        self._backlog.add(self._state.async_invocations.open())
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more; what runs is begun again by the next service."""
        self._closing = True
        self._backlog.close()

    def submit(self, record: AsyncRecord) -> None:
        """Keep an invocation, and begin it in its turn.

        Raises:
            Fault: as many wait for its endpoint as may.
            StorageError: the database cannot be written.
        """
        if not self._backlog.has_room(record.endpoint_number):
            raise overloaded(
                f"{WAITING_LIMIT_EACH:,} invocations wait for endpoint {record.endpoint}: try "
                "again later, or give it more instances.",
                "30",
            )
        stored = self._state.async_invocations.add(record)
        self._backlog.add(
            [AsyncTicket(stored.number, stored.endpoint, stored.endpoint_number, stored.expires_ms)]
        )

    def _run(self) -> None:
        while not self._closing:
            try:
                self._give_up_expired()
                self._begin_some()
            except Exception:
                logger.exception("asynchronous invocations are looked at again in a moment")
            if not self._backlog.wait(_LOOK_S):
                return

    def _give_up_expired(self) -> None:
        """Give up some of what has waited too long: all of it might hold up the others."""
        if time.monotonic() < self._expired_due_s:
            return
        self._expired_due_s = time.monotonic() + _EXPIRED_EVERY_S
        for ticket in self._backlog.take_expired(clock.now_ms(), _EXPIRED_AT_ONCE):
            if not self._work_on(ticket, self._give_up):
                self._expired_due_s = time.monotonic() + _AFTER_FAILURE_S

    def _begin_some(self) -> None:
        """Begin what has a turn, one of each endpoint after the other."""
        begun = True
        while begun and not self._closing:
            begun = sum(self._begin(first) for first in self._backlog.firsts()) > 0

    def _begin(self, first: AsyncTicket) -> bool:
        """Begin the first that waits for an endpoint, if it has a turn; whether it has."""
        hosted = self._hosting.find(first.endpoint)
        if hosted is None or (
            isinstance(hosted, Hosted) and hosted.number != first.endpoint_number
        ):
            # The endpoint was deleted, and what waited for it with it.
            self._backlog.drop(first.endpoint_number)
            return False
        if not isinstance(hosted, Hosted) or first.expires_ms <= clock.now_ms():
            return False
        ticket = self._backlog.take(first.endpoint_number, _turns(hosted))
        if ticket is None:
            return False
        thread = threading.Thread(
            target=self._work_on,
            args=(ticket, self._invoke),
            name="clary-async-invocation",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:
            logger.warning("an asynchronous invocation waits for a thread: %s", error)
            self._backlog.back(ticket, _AFTER_FAILURE_S)
            return False
        return True

    def _work_on(self, ticket: AsyncTicket, work: Callable[[AsyncTicket], float | None]) -> bool:
        """Do something about an invocation that was taken; whether it is over.

        Where `work` gives seconds, it waits again, so long at least.
        """
        try:
            again_s = work(ticket)
        except StorageError as error:
            logger.warning("asynchronous invocation %d is tried again: %s", ticket.number, error)
            again_s = _AFTER_FAILURE_S
        except Exception:
            if not self._closing:  # what the service has closed fails, and the next one goes on
                logger.exception("asynchronous invocation %d is tried again", ticket.number)
            again_s = _AFTER_FAILURE_S
        if again_s is None:
            self._backlog.done(ticket)
        else:
            self._backlog.back(ticket, again_s)
        return again_s is None

    def _give_up(self, ticket: AsyncTicket) -> None:
        record = self._state.async_invocations.get(ticket.number)
        if record is None:
            return
        waited_s = (record.expires_ms - record.created_ms) // 1000
        reason = f"The request has expired: it waited for {waited_s} seconds."
        self._fail(record, AsyncRequest.of(record), reason)

    def _invoke(self, ticket: AsyncTicket) -> float | None:
        """Ask the endpoint, and store its answer; in how many seconds to try again, if at all.

        Raises:
            StorageError: the disk is full, or something else of the machine's failed.
        """
        stored = self._state.async_invocations.get(ticket.number)
        record = None if stored is None else self._begun(stored)
        if record is None:
            return None  # its endpoint was deleted meanwhile
        request = AsyncRequest.of(record)
        try:
            answer = self._answer(record, *self._input(request))
        except Fault as fault:
            if self._closing:
                return None
            if fault.status == 503:
                self._not_begun(record)
                return _AFTER_REFUSAL_S
            if has_exited(fault) and record.attempts < ATTEMPTS:
                return _AFTER_REFUSAL_S
            self._fail(record, request, fault.message)
            return None
        except StorageError:
            raise
        except ClaryError as error:
            self._fail(record, request, str(error))
            return None
        try:
            self._put(request.output, answer.body, answer.content_type)
        except StorageError:
            raise
        except ClaryError as error:
            self._fail(record, request, f"The answer could not be stored: {error}")
            return None
        self._state.async_invocations.remove(record.id)
        return None

    def _begun(self, record: AsyncRecord) -> AsyncRecord | None:
        started_ms = clock.now_ms()
        return self._state.async_invocations.change(
            record.id,
            lambda one: dataclasses.replace(
                one, status=RUNNING, started_ms=started_ms, attempts=one.attempts + 1
            ),
        )

    def _not_begun(self, record: AsyncRecord) -> None:
        """No replica took it: that was no attempt."""
        self._state.async_invocations.change(
            record.id,
            lambda one: dataclasses.replace(
                one, status=WAITING, started_ms=None, attempts=one.attempts - 1
            ),
        )

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
        """Store the reason, where there is a place for failures; the invocation is over.

        Raises:
            StorageError: the disk is full, or something else of the machine's failed.
        """
        if request.failure is None:
            logger.warning("asynchronous invocation %s failed: %s", record.id, reason)
        else:
            try:
                self._put(request.failure, reason.encode("utf-8", "replace"), "text/plain")
            except StorageError:
                raise
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


def _turns(hosted: Hosted) -> int:
    """How many invocations the endpoint works on at once."""
    client = (hosted.asynchronous or {}).get("ClientConfig") or {}
    each: int = client.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY)
    return each * sum(len(variant.replicas) for variant in hosted.variants)
