"""From a request to the parameters of its operation, by botocore's model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clary.service.faults import Fault
from clary.service.protocol.json_values import read_tree
from clary.service.protocol.malformed import Malformed
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.models import OperationModel, Shape
from clary.service.protocol.query_values import read_query
from clary.service.protocol.rest_bindings import Binding, RestBindings, rest_bindings
from clary.service.protocol.routing import (
    CBOR,
    JSON,
    QUERY,
    REST_XML,
    Route,
    query_fields,
)
from clary.service.protocol.text_values import json_header_value, value_from_text
from clary.service.protocol.xml_values import read_xml


def parse(route: Route, operation: OperationModel, request: HttpRequest) -> dict[str, Any]:
    """The parameters of a request, by botocore's names. A payload that streams is left out.

    Raises:
        Fault: the request is not what the model says.
    """
    shape = operation.input_shape
    if shape is None:
        return {}
    try:
        if route.protocol == QUERY:
            return read_query(shape, query_fields(request))
        if route.protocol == JSON:
            return _structure(shape, _json(request.body))
        if route.protocol == CBOR:
            return _structure(shape, _cbor(request.body))
        return _parse_rest(route, shape, request)
    except Malformed as error:
        raise _fault(route, error) from error


def _parse_rest(route: Route, shape: Shape, request: HttpRequest) -> dict[str, Any]:
    bindings = rest_bindings(shape)
    values: dict[str, Any] = {}
    for binding in bindings.uri:
        if binding.wire in route.labels:
            values[binding.name] = _text(binding, route.labels[binding.wire])
    _read_query_string(bindings, request, values)
    _read_headers(bindings, request, values)
    if bindings.payload is not None:
        payload = bindings.payload
        if bindings.streams:
            if route.protocol != REST_XML:
                values[payload.name] = request.body
        elif request.body:
            values[payload.name] = _body(route, payload.shape, request.body)
    elif bindings.has_body and request.body:
        values.update(_body(route, shape, request.body))
    return values


def _read_query_string(
    bindings: RestBindings, request: HttpRequest, values: dict[str, Any]
) -> None:
    for binding in bindings.query:
        if binding.shape.type_name == "list":
            found = [text for name, text in request.query if name == binding.wire]
            if found:
                values[binding.name] = [
                    value_from_text(binding.shape.member, text) for text in found
                ]
        elif binding.shape.type_name == "map":
            taken = {other.wire for other in bindings.query}
            values[binding.name] = {n: text for n, text in request.query if n not in taken}
        elif binding.wire in request.query_map:
            values[binding.name] = _text(binding, request.query_map[binding.wire])


def _read_headers(bindings: RestBindings, request: HttpRequest, values: dict[str, Any]) -> None:
    for binding in bindings.headers:
        if binding.wire not in request.headers:
            continue
        text = request.text_header(binding.wire) or ""
        if binding.shape.type_name == "list":
            values[binding.name] = [
                value_from_text(binding.shape.member, item) for item in header_list(text)
            ]
        elif binding.shape.serialization.get("jsonvalue"):
            values[binding.name] = json_header_value(binding.shape, text)
        else:
            values[binding.name] = _text(binding, text)
    for binding in bindings.header_maps:
        found = {
            name[len(binding.wire) :]: request.text_header(name) or ""
            for name in request.headers
            if name.startswith(binding.wire)
        }
        if found:
            values[binding.name] = found


def header_list(text: str) -> list[str]:
    """The items of a header that is a list: separated by commas, quoted where they hold some."""
    items, item, quoted, escaped = [], "", False, False
    for character in text:
        if escaped:
            item, escaped = item + character, False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            items.append(item.strip())
            item = ""
        else:
            item += character
    return [*items, item.strip()]


def _text(binding: Binding, text: str) -> Any:
    try:
        return value_from_text(binding.shape, text)
    except Malformed as error:
        raise Malformed(str(error), binding.wire) from error


def _body(route: Route, shape: Shape, body: bytes) -> Any:
    if route.protocol == REST_XML:
        return read_xml(shape, body)
    return _structure(shape, _json(body))


def _structure(shape: Shape, tree: Any) -> dict[str, Any]:
    values: dict[str, Any] = read_tree(shape, tree)
    return values


def _json(body: bytes) -> Any:
    if not body:
        return {}
    try:
        text = body.decode("utf-8-sig")
        tree = json.loads(text)
        if "\\u" in text:
            json.dumps(tree, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    return tree


def _cbor(body: bytes) -> Any:
    if not body:
        return {}
    import cbor2

    try:
        return cbor2.loads(body)
    except (cbor2.CBORDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not CBOR: {error}") from error


def _fault(route: Route, error: Malformed) -> Fault:
    if route.protocol == QUERY:
        return Fault("MalformedInput", str(error))
    if route.protocol != REST_XML:
        return Fault("SerializationException", str(error))
    if error.argument:
        members: Mapping[str, str] = {"ArgumentName": error.argument}
        return Fault("InvalidArgument", str(error), members=members)
    return Fault(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
