"""The way of one request through the service: verified, parsed, validated, operated, written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from clary.errors import ClaryError
from clary.service.call import Answer, Call, RequestBody, ResponseBody
from clary.service.faults import Fault, internal_failure
from clary.service.keys import KeyRing
from clary.service.office import Handler, Office
from clary.service.protocol.aws_chunked import ByteSource
from clary.service.protocol.fault_writing import write_fault
from clary.service.protocol.messages import HttpRequest, HttpResponse
from clary.service.protocol.models import service_model
from clary.service.protocol.parsing import parse
from clary.service.protocol.payload import open_payload
from clary.service.protocol.presigned import with_headers_of_query
from clary.service.protocol.routing import QUERY, REST_XML, Route, Unrouted, route_by_body
from clary.service.protocol.serializing import serialize
from clary.service.protocol.signature import Verified, verify
from clary.service.protocol.validation import validate

Operations = Mapping[str, Mapping[str, Handler]]

# A streaming answer up to this size is read at once: one trip to a thread instead of two.
SMALL_BYTES = 1 << 18

logger = logging.getLogger("clary.service")


class Chain:
    """Answers requests with the operations of a table. Synchronous; any thread may call it."""

    def __init__(self, office: Office, operations: Operations, keys: KeyRing) -> None:
        self._office = office
        self._operations = operations
        self._keys = keys

    def answer(
        self, route: Route, request: HttpRequest, source: ByteSource | None, request_id: str
    ) -> tuple[Route, HttpResponse]:
        """Answer one request, with an error if need be; never raises.

        Args:
            route: what the head told.
            request: with its body, unless that streams.
            source: the body that streams.
            request_id: goes back to the client and into the log.
        """
        try:
            if route.protocol == QUERY:
                route = route_by_body(route, request)
            return route, self._operate(route, request, source, request_id)
        except Unrouted as unrouted:
            route = unrouted.route
            fault = unrouted.fault
        except Fault as raised:
            fault = raised
        except ClaryError as error:  # a full disk, a damaged file: not the client's fault
            logger.warning("request %s failed: %s", request_id, error)
            fault = Fault("InternalError", str(error), 500)
        except Exception:
            logger.exception("request %s failed", request_id)
            fault = internal_failure(request_id)
        return route, write_fault(route, request, fault, request_id)

    def _operate(
        self, route: Route, request: HttpRequest, source: ByteSource | None, request_id: str
    ) -> HttpResponse:
        verified = verify(request, route, self._keys)
        handler = self._handler(route)
        operation = service_model(route.service).operation_model(route.operation)
        told = with_headers_of_query(request)
        parameters = parse(route, operation, told)
        validate(route.service, operation, parameters)
        call = Call(
            service=route.service,
            operation=route.operation,
            parameters=parameters,
            request_id=request_id,
            headers=told.headers,
            body=_body(request, verified, source),
            caller_arn=verified.caller_arn,
            received_s=request.received_s,
        )
        answer = handler(self._office, call)
        try:
            response = serialize(route, operation, answer, request_id)
        except Exception:
            _let_go(answer)
            raise
        if not isinstance(response.body, bytes) and response.body.length <= SMALL_BYTES:
            response.body = _read_all(response.body)
        return response

    def _handler(self, route: Route) -> Handler:
        offered = self._operations.get(route.service, {})
        handler = offered.get(route.operation)
        if handler is None:
            raise unknown_operation(route, sorted(offered))
        return handler


def unknown_operation(route: Route, offered: list[str]) -> Fault:
    """An operation that AWS may have and Clary has not."""
    names = ", ".join(offered) if offered else "nothing"
    message = f"Clary does not offer {route.operation} of {route.service}. It offers: {names}."
    if route.protocol == REST_XML:
        return Fault("NotImplemented", message, 501)
    if route.protocol == QUERY:
        return Fault("InvalidAction", message, 400)
    return Fault("UnknownOperationException", message, 400)


def _body(
    request: HttpRequest, verified: Verified, source: ByteSource | None
) -> RequestBody | None:
    return None if source is None else open_payload(request, verified, source)


def _let_go(answer: Mapping[str, Any] | Answer) -> None:
    """Close the body of an answer that is not sent."""
    members = answer.members if isinstance(answer, Answer) else answer
    for value in members.values():
        if hasattr(value, "blocks"):
            value.close()


def _read_all(body: ResponseBody) -> bytes:
    try:
        return b"".join(body.blocks())
    finally:
        body.close()
