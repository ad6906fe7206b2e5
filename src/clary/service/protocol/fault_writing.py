"""Errors in the protocol of the request that they answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from clary.service.faults import Fault
from clary.service.protocol.json_values import write_tree
from clary.service.protocol.messages import HttpRequest, HttpResponse
from clary.service.protocol.models import SERVICES, ServiceModel, Shape, service_model
from clary.service.protocol.routing import CBOR, JSON, QUERY, REST_XML, Route
from clary.service.protocol.serializing import (
    XML_DECLARATION,
    cbor_bytes,
    json_bytes,
    request_id_headers,
)
from clary.service.protocol.xml_values import write_members, xml_text

_WITHOUT_BODY = {204, 304}


def write_fault(route: Route, request: HttpRequest, fault: Fault, request_id: str) -> HttpResponse:
    """Write an error as clients of the route's protocol read it."""
    response = HttpResponse(fault.status, request_id_headers(route, request_id))
    if route.protocol == REST_XML:
        if request.method != "HEAD" and fault.status not in _WITHOUT_BODY:
            response.headers["content-type"] = "application/xml"
            response.body = _s3(request, fault, request_id)
    elif route.protocol == QUERY:
        response.headers["content-type"] = "text/xml"
        response.body = _query(route, fault, request_id)
    else:
        _tree(route, fault, response)
    response.headers.update(fault.headers)
    return response


def _tree(route: Route, fault: Fault, response: HttpResponse) -> None:
    """JSON, its REST sister and CBOR differ in the wrapping only."""
    shape = _error_shape(route, fault)
    members: dict[str, Any] = {"message": fault.message}
    if shape is not None:
        given = {name: value for name, value in fault.members.items() if name in shape.members}
        # Some shapes call it Message; botocore's clients read either.
        members = {_message_name(shape): fault.message}
        members.update(write_tree(shape, given, binary=route.protocol == CBOR))
    code = shape.name if shape is not None else fault.code
    tree = {"__type": code, **members}
    if shape is not None and _query_code(shape) != code:
        response.headers["x-amzn-query-error"] = f"{_query_code(shape)};{_side(fault)}"
    if route.protocol == CBOR:
        response.headers["smithy-protocol"] = "rpc-v2-cbor"
        response.headers["content-type"] = "application/cbor"
        response.body = cbor_bytes(tree)
        return
    response.headers["x-amzn-errortype"] = code
    version = "1.1"
    if route.protocol == JSON:
        if (model := _model(route)) is not None:
            version = model.metadata.get("jsonVersion", version)
        response.headers["content-type"] = f"application/x-amz-json-{version}"
    else:
        response.headers["content-type"] = "application/json"
    response.body = json_bytes(tree)


def _query(route: Route, fault: Fault, request_id: str) -> bytes:
    model = _model(route)
    shape = _error_shape(route, fault)
    code = fault.code if shape is None else _query_code(shape)
    inner = ""
    if shape is not None:
        known = {name: value for name, value in fault.members.items() if name in shape.members}
        inner = write_members(shape, known)
    namespace = f' xmlns="{model.metadata["xmlNamespace"]}"' if model else ""
    return (
        f"<ErrorResponse{namespace}><Error><Type>{_side(fault)}</Type>"
        f"<Code>{xml_text(code)}</Code><Message>{xml_text(fault.message)}</Message>{inner}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode("utf-8", "replace")


def _s3(request: HttpRequest, fault: Fault, request_id: str) -> bytes:
    members = {"Resource": unquote(request.path), **fault.members}
    inner = "".join(
        f"<{name}>{xml_text(str(value))}</{name}>"
        for name, value in members.items()
        if value is not None
    )
    return (
        f"{XML_DECLARATION}<Error><Code>{xml_text(fault.code)}</Code>"
        f"<Message>{xml_text(fault.message)}</Message>{inner}"
        f"<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
    ).encode("utf-8", "replace")


def _model(route: Route) -> ServiceModel | None:
    return service_model(route.service) if route.service in SERVICES else None


def _error_shape(route: Route, fault: Fault) -> Shape | None:
    """The model's shape of an error, found by its name or by its code in the query protocol."""
    model = _model(route)
    if model is None:
        return None
    for shape in model.error_shapes:
        if fault.code in {shape.name, _query_code(shape)}:
            return shape
    return None


def _query_code(shape: Shape) -> str:
    code: str = shape.metadata.get("error", {}).get("code", shape.name)
    return code


def _message_name(shape: Shape) -> str:
    return next((name for name in shape.members if name.lower() == "message"), "message")


def _side(fault: Fault) -> str:
    return "Receiver" if fault.status >= 500 else "Sender"
