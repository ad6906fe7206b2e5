"""The data plane of one service: endpoints are asked, and everybody learns what came of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from clary import clock
from clary.errors import ClaryError
from clary.service.faults import Fault
from clary.service.invocations import faults
from clary.service.invocations.async_requests import AsyncRequest
from clary.service.invocations.asynchronous import AsyncAnswer, AsyncInvoking
from clary.service.invocations.capture import STORED_EVERY_S as CAPTURED_EVERY_S
from clary.service.invocations.capture import Capture, Captured
from clary.service.invocations.connections import Body, Connections, NotAnswered, TimedOut
from clary.service.invocations.forwarding import Forwarded, Forwarding
from clary.service.invocations.hosting import Hosted, HostedVariant, Hosting
from clary.service.invocations.metrics import STORED_EVERY_S, EndpointMetrics, Outcome
from clary.service.invocations.routing import Router
from clary.service.invocations.shadowing import Shadowing
from clary.service.invocations.traffic import Traffic
from clary.service.state.async_invocations import AsyncRecord
from clary.service.state.state import State

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

# SageMaker's; the replica keeps it, too, and says so first.
INVOCATION_S = 60.0
_REPLICA_GRACE_S = 3.0
# Below the time that the HTTP server gives to what is under way when it ends.
GIVEN_UP_S = 4.0
# Larger bodies, which only asynchronous invocations have, are not captured.
_CAPTURED_LIMIT_BYTES = 6 << 20
DEFAULT_CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Question:
    """What is asked of an endpoint. What the client left out is empty.

    `received_s` is when it came, by `time.perf_counter()`; `seconds` how long the model may take.
    """

    endpoint: str
    body: Body
    request_id: str
    content_type: str = ""
    accept: str = ""
    custom_attributes: str = ""
    inference_id: str = ""
    target_variant: str | None = None
    target_model: str | None = None
    seconds: float = INVOCATION_S
    received_s: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Given:
    """The answer of an endpoint."""

    body: bytes
    content_type: str
    custom_attributes: str | None
    variant: str


class Invocations:
    """Asks endpoints. Any thread may call; each waits for its answer.

    Owned by the service, which starts and closes it.
    """

    def __init__(
        self,
        state: State,
        store: ObjectStore,
        traffic: Traffic,
        *,
        region: str,
        account: str,
        want: Callable[[str, str], None],
        fetch_model: Callable[[str, str, str], str | None],
    ) -> None:
        """Assemble the parts.

        Args:
            state: the endpoints and their replicas.
            store: gets what is captured, and the answers of asynchronous invocations.
            traffic: what replicas hold.
            region: of the service.
            account: whose endpoints they are.
            want: asks for a replica of a serverless variant, by endpoint and variant.
            fetch_model: brings a model to an endpoint of many, by endpoint, variant and target
                model; gives the name of its folder, None where that takes longer.
        """
        self._state = state
        self._traffic = traffic
        self._fetch_model = fetch_model
        self._hosting = Hosting(state)
        self._router = Router(self._hosting, traffic, account, want)
        self._connections = Connections()
        self._forwarding = Forwarding(self._router, self._connections, traffic)
        self._errors = faults.ModelErrors(region, account)
        self._capture = Capture(store)
        self._shadowing = Shadowing()
        self.metrics = EndpointMetrics(state)
        self._asynchronous = AsyncInvoking(state, store, self._hosting, self._answer_async)
        self._closing = threading.Event()
        self._storing = threading.Thread(
            target=self._store_often, name="clary-capture", daemon=True
        )

    def start(self) -> None:
        """Take up the asynchronous invocations that are there.

        Raises:
            StorageError: the database cannot be read.
        """
        self._asynchronous.start()
        self._storing.start()

    def release(self) -> None:
        """Wait for nothing that is not there: the service is about to end.

        What a model works on is given up a little later, while there is time to tell the client.
        """
        self._closing.set()
        self._router.close()
        self._asynchronous.close()
        timer = threading.Timer(GIVEN_UP_S, self._connections.close)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Begin nothing more, cut off what waits for an answer, and store what was gathered."""
        self._closing.set()
        self._router.close()
        self._asynchronous.close()
        self._connections.close()
        if self._storing.is_alive():
            self._storing.join()
        self.store()

    def store(self) -> None:
        """Store what was gathered of metrics and captured invocations."""
        self._capture.store()
        self.metrics.store()

    def ask(self, question: Question) -> Given:
        """Have an endpoint answer.

        Raises:
            Fault: it cannot, or its model did not: ModelError.
            StorageError: the database cannot be read.
        """
        hosted = self._router.endpoint(question.endpoint)
        if hosted.asynchronous is not None:
            raise faults.only_asynchronous(hosted.name)
        return self._ask(hosted, question)

    def ask_later(self, call: AsyncRequest, hosted: Hosted, ttl_s: int) -> None:
        """Have an endpoint answer into S3; the invocation survives a kill once this returns.

        Raises:
            StorageError: the database cannot be written.
        """
        at_ms = clock.now_ms()
        self._asynchronous.submit(
            AsyncRecord(
                id=call.id,
                endpoint=hosted.name,
                endpoint_number=hosted.number,
                variant=None,
                request=call.content,
                created_ms=at_ms,
                expires_ms=at_ms + ttl_s * 1000,
            )
        )

    def asynchronous_endpoint(self, name: str) -> Hosted:
        """An endpoint that answers into S3.

        Raises:
            Fault: there is none of that name, it is none of those, or does not answer now.
            StorageError: the database cannot be read.
        """
        hosted = self._router.endpoint(name)
        if hosted.asynchronous is None:
            raise faults.not_asynchronous(name)
        return hosted

    def _ask(self, hosted: Hosted, question: Question) -> Given:
        self._check(hosted, question)
        variant = self._router.variant(hosted, question.target_variant)
        if hosted.asynchronous is None and len(question.body) > variant.limit_bytes:
            raise faults.too_large(variant.limit_bytes)
        self._traffic.note(hosted.name, variant.name, clock.now_ms())
        with self._router.admitted(hosted, variant):
            self._shadow(hosted, question)
            forwarded = self._forward(hosted, variant, question, question.received_s)
        self._judge(hosted, forwarded)
        reply = forwarded.reply
        given = Given(
            body=reply.body,
            content_type=reply.headers.get("content-type", DEFAULT_CONTENT_TYPE),
            custom_attributes=reply.headers.get("x-amzn-sagemaker-custom-attributes"),
            variant=variant.name,
        )
        self._captured(hosted, variant, question, given)
        return given

    def _check(self, hosted: Hosted, question: Question) -> None:
        if hosted.multi_model and question.target_model is None:
            raise faults.no_target_model(question.request_id, hosted.name)
        if not hosted.multi_model and question.target_model is not None:
            raise faults.not_multi_model(hosted.name)

    def _forward(
        self, hosted: Hosted, variant: HostedVariant, question: Question, begun: float
    ) -> Forwarded:
        """Send an invocation and record what came of it.

        Raises:
            Fault: nothing serves, the replica went away, or gave no answer in time.
        """
        status, model_us = 0, None
        try:
            headers = self._headers(hosted, variant, question)
            deadline = time.monotonic() + question.seconds + _REPLICA_GRACE_S
            forwarded = self._forwarding.send(hosted, variant, headers, question.body, deadline)
            status, model_us = forwarded.reply.status, forwarded.microseconds
        except TimedOut as error:
            raise self._errors.timed_out(hosted.name) from error
        except NotAnswered as error:
            if self._closing.is_set():
                raise faults.stopped() from error
            raise self._errors.exited(hosted.name) from error
        except Fault as fault:
            status = fault.status
            raise
        finally:
            spent_us = int((time.perf_counter() - begun) * 1_000_000)
            outcome = Outcome(status, model_us, spent_us - (model_us or 0), len(variant.replicas))
            self.metrics.record(hosted.number, hosted.name, variant.name, outcome)
        return forwarded

    def _headers(
        self, hosted: Hosted, variant: HostedVariant, question: Question
    ) -> dict[str, str]:
        asked = {
            "content-type": question.content_type or DEFAULT_CONTENT_TYPE,
            "accept": question.accept,
            "x-amzn-sagemaker-custom-attributes": question.custom_attributes,
            "x-amzn-sagemaker-inference-id": question.inference_id,
            "x-request-id": question.request_id,
        }
        headers = {name: value for name, value in asked.items() if value}
        if question.seconds != INVOCATION_S:
            headers["x-clary-deadline-s"] = f"{question.seconds:.3f}"
        if question.target_model is not None:
            headers["x-amzn-sagemaker-target-model"] = question.target_model
            try:
                folder = self._fetch_model(hosted.name, variant.name, question.target_model)
            except ClaryError as error:
                raise faults.invalid(str(error)) from error
            if folder is None:
                raise faults.model_not_ready(question.target_model)
            headers["x-clary-model"] = folder
        return headers

    def _judge(self, hosted: Hosted, forwarded: Forwarded) -> None:
        """Raise ModelError for what is no answer."""
        if forwarded.timed_out:
            raise self._errors.timed_out(hosted.name)
        reply = forwarded.reply
        if reply.status >= 400:
            raise self._errors.answered(hosted.name, reply.status, reply.body)

    def _shadow(self, hosted: Hosted, question: Question) -> None:
        total = sum(variant.weight for variant in hosted.variants)
        for shadow in hosted.shadows:
            if random.random() * total < shadow.weight:
                self._shadowing.submit(partial(self._copy, hosted, shadow, question))

    def _copy(self, hosted: Hosted, variant: HostedVariant, question: Question) -> None:
        """Ask a shadow variant; what it answers is captured, and goes to nobody."""
        try:
            forwarded = self._forward(hosted, variant, question, time.perf_counter())
            self._judge(hosted, forwarded)
        except (Fault, ClaryError):
            return  # the metrics of the variant tell of it
        reply = forwarded.reply
        content_type = reply.headers.get("content-type", DEFAULT_CONTENT_TYPE)
        self._captured(
            hosted, variant, question, Given(reply.body, content_type, None, variant.name)
        )

    def _captured(
        self, hosted: Hosted, variant: HostedVariant, question: Question, given: Given
    ) -> None:
        config = hosted.config.get("DataCaptureConfig")
        if config is None or len(question.body) > _CAPTURED_LIMIT_BYTES:
            return
        self._capture.add(
            config,
            Captured(
                endpoint=hosted.name,
                variant=variant.name,
                event_id=question.request_id,
                request=bytes(question.body),
                request_type=question.content_type or DEFAULT_CONTENT_TYPE,
                answer=given.body,
                answer_type=given.content_type,
                inference_id=question.inference_id or None,
                custom_attributes=question.custom_attributes or None,
            ),
        )

    def _answer_async(self, record: AsyncRecord, request: AsyncRequest, body: Body) -> AsyncAnswer:
        given = self._ask(
            self._router.endpoint(record.endpoint),
            Question(
                endpoint=record.endpoint,
                body=body,
                request_id=record.id,
                content_type=request.content_type,
                accept=request.accept,
                custom_attributes=request.custom_attributes,
                inference_id=request.inference_id,
                target_variant=record.variant,
                seconds=float(request.timeout_s),
            ),
        )
        return AsyncAnswer(given.body, given.content_type)

    def _store_often(self) -> None:
        stored = time.monotonic()
        while not self._closing.wait(CAPTURED_EVERY_S):
            self._capture.store()
            self._connections.sweep()
            if time.monotonic() - stored >= STORED_EVERY_S:
                self.metrics.store()
                stored = time.monotonic()
