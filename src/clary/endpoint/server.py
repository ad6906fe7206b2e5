"""The inference server: `/ping`, `/invocations` and `/metrics` in front of a backend.

    connection   a whole request
    → admission  or 503 at once
    → backend    or 504 at the deadline
    → metrics, and a line in the log

A request that was begun before the server was told to end is answered; later ones are told that
they were not accepted (`x-clary-not-accepted`), until the last connection is closed.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress

from clary.endpoint.admission import Admission
from clary.endpoint.backend import Backend
from clary.endpoint.connection import Connection
from clary.endpoint.hosts import why_not_local
from clary.endpoint.http_messages import (
    DEADLINE,
    INSTANCE,
    MODEL_US,
    TIMED_OUT,
    HttpRequest,
    HttpResponse,
    check_header,
    error_response,
    not_accepted,
)
from clary.endpoint.incoming import Bounds, most_connections
from clary.endpoint.invocation import Invocation, Refusal, Reply
from clary.endpoint.server_metrics import CONTENT_TYPE, ServerMetrics
from clary.formats.replica import ReplicaSettings
from clary.loopback import is_loopback

# Backends keep the deadline themselves, and know better what it ended.
_GRACE_S = 1.0
_CHECK_S = 0.25
# How long new requests are still told that they were not accepted, when all others are answered.
_LINGER_S = 0.25
_BACKLOG = 4096
_ROOM_BODIES = 2
_LEAST_ROOM_BYTES = 512 << 20
# What nginx writes down for a client that has left.
_CLIENT_LEFT = 499
_LINE_LETTERS = 400

Say = Callable[[str], None]


class Server:
    """Serves one backend, on one event loop.

    `connections` and `held_bytes` are its connections' own.
    """

    def __init__(
        self,
        settings: ReplicaSettings,
        backend: Backend,
        metrics: ServerMetrics | None = None,
        *,
        say: Say = print,
        complain: Say = print,
        bounds: Bounds | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            settings: what is served, and its bounds.
            backend: what answers; started and closed here.
            metrics: where to count; its own when None.
            say: takes a line for each request.
            complain: takes tracebacks.
            bounds: what a client may do; by the settings when None.
        """
        self.connections: set[Connection] = set()
        self.held_bytes = 0
        self.bounds = bounds or Bounds(
            body_bytes=settings.max_body_bytes,
            room_bytes=max(_LEAST_ROOM_BYTES, _ROOM_BODIES * settings.max_body_bytes),
            connections=most_connections(),
        )
        self._settings = settings
        self._is_local = is_loopback(settings.address)
        self._backend = backend
        self._say = say
        self._complain = complain
        self._admission = Admission(lambda: backend.capacity, settings.waiting)
        self.metrics = metrics or server_metrics(settings)
        self.metrics.gauges.update(
            clary_invocations_in_flight=lambda: self._admission.in_flight,
            clary_invocations_waiting=lambda: self._admission.waiting,
            clary_connections=lambda: len(self.connections),
            clary_ready=lambda: self._backend.health.ready and not self.closing,
        )
        # When each invocation is to be given up, and which were.
        self._limits: dict[asyncio.Task[None], float] = {}
        self._overdue: set[asyncio.Task[None]] = set()
        self._closing_since: float | None = None
        self._listening: asyncio.Server | None = None
        # The same socket, of which the loop takes what it is given.
        self._listener: socket.socket | None = None
        self._checking: asyncio.Task[None] | None = None

    @property
    def closing(self) -> bool:
        """Whether it has been told to end."""
        return self._closing_since is not None

    async def start(self, listener: socket.socket, *, patience_s: float = 0.0) -> None:
        """Accept connections, and start the backend; returns when the model has answered.

        Args:
            listener: bound and listening.
            patience_s: how long clients wait in the listener for the backend, rather than being
                told that it is not ready.

        Raises:
            ClaryError: the backend will never answer.
        """
        loop = asyncio.get_running_loop()
        starting = loop.create_task(self._backend.start())
        try:
            if patience_s:
                await asyncio.wait((starting,), timeout=patience_s)
            self._listener = listener.dup()
            self._listening = await loop.create_server(
                lambda: Connection(self), sock=listener, backlog=_BACKLOG
            )
            self._checking = loop.create_task(self._check())
            await starting
        except BaseException:
            starting.cancel()
            await self._stop_listening()
            if self._checking is not None:
                self._checking.cancel()
            raise

    async def close(self) -> None:
        """Answer everything that was begun, refuse what comes meanwhile, and let go of all."""
        now = time.monotonic()
        if self._closing_since is None:
            self._closing_since = now
        while any(self._is_awaited(connection) for connection in self.connections):
            await asyncio.sleep(0.01)
        # Whoever comes now is refused by the system; who is there already has a moment left to
        # send a request and be told.
        await self._stop_listening()
        await asyncio.sleep(_LINGER_S)
        for connection in list(self.connections):
            connection.close()
        until = time.monotonic() + self.bounds.stall_s
        while self.connections and time.monotonic() < until:
            await asyncio.sleep(0.01)
        await self._backend.close()
        if self._checking is not None:
            self._checking.cancel()
            with suppress(asyncio.CancelledError):
                await self._checking

    async def _stop_listening(self) -> None:
        """Close the listener, and take in who has connected by then."""
        if self._listening is None or self._listener is None:
            return
        self._listening.close()
        loop = asyncio.get_running_loop()
        with self._listener, suppress(OSError):  # nobody else is there
            while True:
                client, _ = self._listener.accept()
                await loop.connect_accepted_socket(lambda: Connection(self), client)

    def _is_awaited(self, connection: Connection) -> bool:
        began = connection.began
        return connection.owes or (began is not None and began <= (self._closing_since or 0.0))

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer a request, whatever happens. Cancelled when its client has left."""
        method, path = request.method, request.path
        refusal = why_not_local(request.headers) if self._is_local else None
        if refusal is not None:
            response = error_response(*refusal)
            self.refused(response)
            return response
        if path not in _METHODS:
            return error_response(404, f"there is no {path[:200]}: {_OFFERED}")
        if method not in _METHODS[path]:
            allowed = ", ".join(_METHODS[path])
            return error_response(
                405, f"{path} takes {allowed}, and this is {method}", {"allow": allowed}
            )
        if path == "/invocations":
            return await self._invoke(request)
        if path == "/ping":
            return self._ping()
        if path == "/metrics":
            return HttpResponse(200, self.metrics.text().encode(), CONTENT_TYPE)
        return HttpResponse(200, self._home().encode(), "text/plain; charset=utf-8")

    def refused(self, response: HttpResponse) -> None:
        """A request was answered before it was whole."""
        self.metrics.refused[str(response.status)] += 1
        self._say(f"refused {response.status}: {_printable(response.sentence)}")

    def _ping(self) -> HttpResponse:
        if self.closing:
            return not_accepted("stopping", "the server is shutting down")
        health = self._backend.health
        if not health.ready:
            return not_accepted("starting", health.reason or "the model is being loaded")
        return HttpResponse(200, b'{"status": "Healthy"}\n')

    def _home(self) -> str:
        settings = self._settings
        return (
            f"Clary serves {settings.endpoint}/{settings.variant} ({settings.kind}) as "
            f"{settings.instance}: {_OFFERED}.\n"
        )

    async def _invoke(self, request: HttpRequest) -> HttpResponse:
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        response = HttpResponse(_CLIENT_LEFT)
        try:
            response = await self._answer(request, request_id)
        finally:
            seconds = time.monotonic() - request.began
            why = f": {_printable(response.sentence)}" if response.sentence else ""
            self.metrics.count(response.status, seconds, len(request.body), len(response.body))
            self._say(
                f"POST /invocations {response.status} {seconds * 1000:.1f} ms "
                f"{_size(request.body)} {_word(request_id)}{why}"
            )
        return response

    async def _answer(self, request: HttpRequest, request_id: str) -> HttpResponse:
        now = time.monotonic()
        meant, own = request.headers.get(INSTANCE), self._settings.instance
        if meant not in {None, own}:
            self.metrics.refused["another is meant"] += 1
            return not_accepted("another", f"this is {own}, and {meant} is meant")
        if self._closing_since is not None and request.began > self._closing_since:
            self.metrics.refused["shutting down"] += 1
            return not_accepted("stopping", "the server is shutting down")
        health = self._backend.health
        if not health.ready and not health.passing:
            self.metrics.refused["not ready"] += 1
            return not_accepted("starting", health.reason or "the model is being loaded")
        patience_s = self._patience_s(request)
        try:
            self._admission.enter(patience_s)
        except Refusal as refusal:
            self.metrics.refused["busy"] += 1
            return not_accepted("full", refusal.sentence, refusal.retry_after_s or 1)
        task = asyncio.current_task()
        assert task is not None
        invocation = _invocation(request, request_id, now + patience_s)
        self._limits[task] = invocation.deadline + _GRACE_S
        answered = False
        try:
            reply = await self._backend.answer(invocation)
            answered = True
            return self._response(reply)
        except Refusal as refusal:
            answered = refusal.status not in _WITHOUT_A_TURN
            return _refusal(refusal)
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            return _refusal(Refusal(504, f"no answer within {patience_s:g} s"))
        except Exception:  # noqa: BLE001 - it is a bug, and the client is to have an answer
            self._complain(f"request {request_id} failed:\n{traceback.format_exc()}")
            return error_response(500, "the server failed; its log says how")
        finally:
            del self._limits[task]
            self._overdue.discard(task)
            self._admission.leave(time.monotonic(), answered=answered)

    def _patience_s(self, request: HttpRequest) -> float:
        """How long its answer is of use: what the request says, within the bound."""
        try:
            asked = float(request.headers.get(DEADLINE, "inf"))
        except ValueError:
            asked = math.inf
        # No number is smaller than NaN, either.
        return min(asked, self._settings.deadline_s) if asked > 0 else self._settings.deadline_s

    def _response(self, reply: Reply) -> HttpResponse:
        self.metrics.count_model(reply.model_us / 1e6)
        try:
            check_header("content-type", reply.content_type)
            for name, value in reply.headers.items():
                check_header(name, value)
        except ValueError as error:
            return error_response(500, f"the answer of the model cannot be sent: {error}")
        headers = {name: value for name, value in reply.headers.items() if _is_its_own(name)}
        headers[MODEL_US] = str(reply.model_us)
        return HttpResponse(reply.status, reply.body, reply.content_type, headers)

    async def _check(self) -> None:
        """Give up what takes too long: clients and invocations."""
        while True:
            await asyncio.sleep(_CHECK_S)
            now = time.monotonic()
            for connection in list(self.connections):
                try:
                    connection.check(now)
                except Exception:  # noqa: BLE001 - of one client; the others are to be looked after
                    self._complain(f"a connection is given up:\n{traceback.format_exc()}")
                    connection.abort()
            self._make_room()
            for task, limit in list(self._limits.items()):
                if now > limit and task not in self._overdue:
                    self._overdue.add(task)
                    task.cancel()

    def _make_room(self) -> None:
        """Let those clients go that have been idle for longest, where there are too many."""
        excess = len(self.connections) - self.bounds.connections
        if excess > 0:
            since = [(one.idle_since, one) for one in self.connections]
            idle = [(at, one) for at, one in since if at is not None]
            for _, connection in sorted(idle, key=lambda pair: pair[0])[:excess]:
                connection.close()


_READING = ("GET", "HEAD")
_METHODS = {"/invocations": ("POST",), "/ping": _READING, "/metrics": _READING, "/": _READING}
# Refused before it was looked at, or given up while it waited.
_WITHOUT_A_TURN = frozenset({404, 406, 503, 504})
# What the server says itself of its answers. People's handlers pass on whole heads of others.
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
_FRAMING = _HOP_BY_HOP | {"content-length", "content-type", "transfer-encoding"}
_OFFERED = "POST a body to /invocations; GET /ping tells whether it serves, GET /metrics how"


def server_metrics(settings: ReplicaSettings) -> ServerMetrics:
    """Counts for a replica, under its names."""
    return ServerMetrics(
        {
            "endpoint": settings.endpoint,
            "variant": settings.variant,
            "instance": settings.instance,
            "kind": settings.kind,
        }
    )


def _is_its_own(name: str) -> bool:
    """Whether a header that a model gave is sent on."""
    lower = name.lower()
    return lower not in _FRAMING and not lower.startswith("x-clary-")


def _invocation(request: HttpRequest, request_id: str, deadline: float) -> Invocation:
    headers = request.headers
    return Invocation(
        body=request.body,
        content_type=headers.get("content-type", ""),
        accept=headers.get("accept", ""),
        deadline=deadline,
        model=headers.get("x-clary-model") or None,
        request_id=request_id,
        custom_attributes=headers.get("x-amzn-sagemaker-custom-attributes", ""),
    )


def _refusal(refusal: Refusal) -> HttpResponse:
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    if refusal.status == 504:
        headers[TIMED_OUT] = "1"
    return error_response(refusal.status, refusal.sentence, headers)


def _size(body: bytes) -> str:
    return "1 byte" if len(body) == 1 else f"{len(body)} bytes"


def _word(text: str) -> str:
    """As one word of a line: in quotes where it has blanks of its own."""
    text = _printable(text)
    return json.dumps(text) if " " in text or '"' in text else text


def _printable(text: str) -> str:
    if text.isprintable():
        return text[:_LINE_LETTERS]
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LINE_LETTERS])
