"""The HTTP edge: an ASGI application that brings requests to threads and answers back.

Everything behind it is synchronous. Pools of threads keep callers apart, so that none starves
another: what is quick; copies, which take the disk's time; uploads, which hold a thread at their
client's pace, while it is not too slow; blocks of downloads, whose clients are waited for without
a thread; calls that wait for a
job; and those that wait for a model. Of these an endpoint holds at most as many threads as it
leaves to the others, and more are refused at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clary.service.bridging import BytesSource, Receive
from clary.service.call import ResponseBody
from clary.service.faults import Fault, internal_failure
from clary.service.incoming import IncomingBody, Room
from clary.service.invocations.faults import overloaded
from clary.service.protocol.aws_chunked import ByteSource
from clary.service.protocol.chain import Chain
from clary.service.protocol.fault_writing import write_fault
from clary.service.protocol.messages import HttpRequest, HttpResponse
from clary.service.protocol.routing import REST_XML, Route, Unrouted, find_route
from clary.service.service_log import ServiceLog

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# The largest body that is read before its operation begins: what InvokeEndpoint may carry.
BODY_LIMIT_BYTES = 32 << 20
INVOKING_LIMIT = 512
# An upload up to this size is read first, too: one trip to a thread, no bridge.
SMALL_UPLOAD_BYTES = 1 << 20

logger = logging.getLogger("clary.service")


class App:
    """The application of one service process. Close it after the server has stopped."""

    def __init__(
        self,
        chain: Chain,
        log: ServiceLog,
        *,
        patient: frozenset[tuple[str, str]],
        copying: frozenset[tuple[str, str]],
        invoking: frozenset[tuple[str, str]],
        invoking_limit: int = INVOKING_LIMIT,
    ) -> None:
        """Serve what `chain` answers.

        Args:
            chain: what answers.
            log: gets a line for each request.
            patient: operations that may wait long.
            copying: operations that copy data from disk to disk.
            invoking: operations that wait for a model's answer.
            invoking_limit: as many of them are answered at once, each on a thread.
        """
        self._log = log
        self._chain = chain
        self._room = Room()
        self._quick_pool = ThreadPoolExecutor(32, "quick")
        self._upload_pool = ThreadPoolExecutor(64, "upload")
        self._download_pool = ThreadPoolExecutor(16, "download")
        patient_pool = ThreadPoolExecutor(256, "patient")
        copy_pool = ThreadPoolExecutor(4, "copy")
        invoking_pool = ThreadPoolExecutor(invoking_limit, "invoke")
        self._own_pools = dict.fromkeys(patient, patient_pool)
        self._own_pools.update(dict.fromkeys(copying, copy_pool))
        self._own_pools.update(dict.fromkeys(invoking, invoking_pool))
        self._invoking = invoking
        self._invoking_limit = invoking_limit
        # How many go on, by endpoint.
        self._invoked: Counter[str] = Counter()
        self._pools = (
            self._quick_pool,
            self._upload_pool,
            self._download_pool,
            patient_pool,
            copy_pool,
            invoking_pool,
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"{scope['type']} is not spoken here")
        begun = time.perf_counter()
        request_id = str(uuid.uuid4())
        request = HttpRequest.from_scope(scope)
        body = IncomingBody(request, receive)
        try:
            route, response = await self._respond(request, body, request_id)
        except asyncio.CancelledError:  # the service ends
            body.abandon()
            raise
        finally:
            body.release(self._room)
        await body.close()
        if not body.complete:
            # The rest of the body would be taken for the next request.
            response.headers["connection"] = "close"
        try:
            await self._send(request, response, body, receive, send)
        finally:
            seconds = time.perf_counter() - begun
            self._log.write("INFO", _line(request, route, response, request_id, seconds))

    def close(self) -> None:
        """Let the threads go; what waits is not waited for."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _respond(
        self, request: HttpRequest, body: IncomingBody, request_id: str
    ) -> tuple[Route, HttpResponse]:
        try:
            route = find_route(request)
        except Unrouted as unrouted:
            return unrouted.route, write_fault(unrouted.route, request, unrouted.fault, request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            route = Route("s3", REST_XML)
            return route, write_fault(route, request, internal_failure(request_id), request_id)
        if (route.service, route.operation) not in self._invoking:
            return await self._answer(route, request, body, request_id)
        endpoint = route.labels.get("EndpointName", "")
        held = self._invoked[endpoint]
        # What all others together leave is shared by halves: one that is asked by everybody, and
        # cannot answer, leaves room for the next one.
        if held >= self._invoking_limit - self._invoked.total():
            fault = overloaded(
                f"{held} invocations of endpoint {endpoint} are waited for, and "
                f"{self._invoked.total()} of all endpoints: no more of it are taken now."
            )
            return route, write_fault(route, request, fault, request_id)
        self._invoked[endpoint] += 1
        try:
            return await self._answer(route, request, body, request_id)
        finally:
            self._invoked[endpoint] -= 1
            if not self._invoked[endpoint]:
                del self._invoked[endpoint]

    async def _answer(
        self, route: Route, request: HttpRequest, body: IncomingBody, request_id: str
    ) -> tuple[Route, HttpResponse]:
        pool = self._own_pools.get((route.service, route.operation), self._quick_pool)
        source: ByteSource | None = None
        try:
            if not route.streams:
                request = request.with_body(await body.read_all(BODY_LIMIT_BYTES, self._room))
            elif _small(body) and self._room.has(body.announced or 0):
                source = BytesSource(await body.read_all(SMALL_UPLOAD_BYTES, self._room))
            else:
                source = body.bridge()
                pool = self._upload_pool
        except Fault as fault:
            return route, write_fault(route, request, fault, request_id)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            pool, self._chain.answer, route, request, source, request_id
        )

    async def _send(
        self,
        request: HttpRequest,
        response: HttpResponse,
        incoming: IncomingBody,
        receive: Receive,
        send: Send,
    ) -> None:
        body = response.body
        if request.method != "HEAD" and response.status not in {204, 304}:
            length = len(body) if isinstance(body, bytes) else body.length
            response.headers["content-length"] = str(length)
        start = {
            "type": "http.response.start",
            "status": response.status,
            "headers": [
                (name.encode("latin-1"), value.encode("utf-8"))
                for name, value in response.headers.items()
            ],
        }
        if isinstance(body, bytes):
            await send(start)
            if not incoming.complete:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                await incoming.discard()
                body = b""
            await send({"type": "http.response.body", "body": body})
            return
        try:
            await send(start)
            if request.method == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._send_blocks(body, receive, send)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._download_pool, body.close)

    async def _send_blocks(self, body: ResponseBody, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        blocks = iter(body.blocks())
        # The server drops what is sent to a client that left; only `receive` tells of it.
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while not gone.done():
                block = await loop.run_in_executor(self._download_pool, next, blocks, None)
                if block is None:
                    await send({"type": "http.response.body", "body": b""})
                    return
                await send({"type": "http.response.body", "body": block, "more_body": True})
        finally:
            gone.cancel()


def _small(body: IncomingBody) -> bool:
    return body.announced is not None and body.announced <= SMALL_UPLOAD_BYTES


async def _until_gone(receive: Receive) -> None:
    """Return when the client has left; what is left of its request comes first."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _line(
    request: HttpRequest, route: Route, response: HttpResponse, request_id: str, seconds: float
) -> str:
    """What the log says of a request. The query is left out: a presigned one holds a signature."""
    return (
        f"{response.status} {request.method} {route.service or '-'} {route.operation or '-'} "
        f"{request.path} {seconds * 1000:.1f} ms {request_id}"
    )
