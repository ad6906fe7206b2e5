"""From what an operation returns to HTTP, by botocore's model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from clary.service.call import Answer, ResponseBody
from clary.service.faults import Fault
from clary.service.protocol.json_values import write_tree
from clary.service.protocol.messages import HttpResponse
from clary.service.protocol.models import OperationModel, Shape
from clary.service.protocol.rest_bindings import Binding, RestBindings, rest_bindings
from clary.service.protocol.routing import CBOR, JSON, QUERY, REST_XML, Route
from clary.service.protocol.text_values import text_from_value
from clary.service.protocol.timestamps import RFC822
from clary.service.protocol.xml_values import write_members, write_xml, xml_text

XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# botocore ignores what the root is called; other clients do not, and the model does not say.
_S3_ROOTS = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
}


def serialize(
    route: Route, operation: OperationModel, answer: Mapping[str, Any] | Answer, request_id: str
) -> HttpResponse:
    """Write the answer of an operation in the protocol of its request.

    Raises:
        Fault: the client asked for a header that cannot be sent.
        KeyError: a member is not in the model's output.
        ValueError: a timestamp is none.
    """
    if not isinstance(answer, Answer):
        answer = Answer(answer)
    shape = operation.output_shape
    if route.protocol == QUERY:
        response = _query(operation, shape, answer.members, request_id)
    elif route.protocol == JSON:
        response = _json(operation, shape, answer.members, request_id)
    elif route.protocol == CBOR:
        response = _cbor(shape, answer.members, request_id)
    else:
        response = _rest(route, operation, shape, answer.members, request_id)
    if answer.status is not None:
        response.status = answer.status
    response.headers.update(answer.headers)
    return response


def request_id_headers(route: Route, request_id: str) -> dict[str, str]:
    """The headers that name a request in its answer."""
    if route.protocol == REST_XML:
        return {"x-amz-request-id": request_id, "x-amz-id-2": request_id}
    return {"x-amzn-requestid": request_id}


def json_bytes(tree: Any) -> bytes:
    """JSON as it goes out."""
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def cbor_bytes(tree: Any) -> bytes:
    """CBOR as it goes out: timestamps are seconds since 1970 under tag 1."""
    import cbor2

    return cbor2.dumps(tree, datetime_as_timestamp=True)


def json_content_type(operation: OperationModel) -> str:
    """The media type of the JSON protocol's version."""
    return f"application/x-amz-json-{operation.metadata.get('jsonVersion', '1.1')}"


def _json(
    operation: OperationModel, shape: Shape | None, members: Mapping[str, Any], request_id: str
) -> HttpResponse:
    headers = {"x-amzn-requestid": request_id, "content-type": json_content_type(operation)}
    return HttpResponse(200, headers, json_bytes(write_tree(shape, members)) if shape else b"")


def _cbor(shape: Shape | None, members: Mapping[str, Any], request_id: str) -> HttpResponse:
    headers = {
        "x-amzn-requestid": request_id,
        "smithy-protocol": "rpc-v2-cbor",
        "content-type": "application/cbor",
    }
    tree = write_tree(shape, members, binary=True) if shape else {}
    return HttpResponse(200, headers, cbor_bytes(tree))


def _query(
    operation: OperationModel, shape: Shape | None, members: Mapping[str, Any], request_id: str
) -> HttpResponse:
    inner = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        inner = f"<{wrapper}>{write_members(shape, members)}</{wrapper}>"
    name, namespace = operation.name, operation.metadata["xmlNamespace"]
    body = (
        f'<{name}Response xmlns="{namespace}">{inner}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{name}Response>"
    )
    headers = {"x-amzn-requestid": request_id, "content-type": "text/xml"}
    return HttpResponse(200, headers, body.encode())


def _rest(
    route: Route,
    operation: OperationModel,
    shape: Shape | None,
    members: Mapping[str, Any],
    request_id: str,
) -> HttpResponse:
    headers = request_id_headers(route, request_id)
    response = HttpResponse(operation.http.get("responseCode", 200), headers)
    if shape is None:
        return response
    bindings = rest_bindings(shape)
    _write_headers(bindings, members, headers)
    if bindings.status is not None and members.get(bindings.status.name) is not None:
        response.status = int(members[bindings.status.name])
    if bindings.streams and bindings.payload is not None:
        response.body = _raw(members.get(bindings.payload.name))
    elif route.protocol == REST_XML:
        response.body = _xml_body(operation, shape, bindings, members)
        if response.body:
            headers.setdefault("content-type", "application/xml")
    else:
        headers.setdefault("content-type", "application/json")
        response.body = _json_body(shape, bindings, members)
    return response


def _write_headers(
    bindings: RestBindings, members: Mapping[str, Any], headers: dict[str, str]
) -> None:
    for binding in bindings.headers:
        value = members.get(binding.name)
        if value is not None:
            headers[binding.wire] = _sendable(binding.wire, _header_value(binding, value))
    for binding in bindings.header_maps:
        for name, value in (members.get(binding.name) or {}).items():
            headers[binding.wire + name.lower()] = _sendable(name, value)


def _header_value(binding: Binding, value: Any) -> str:
    if binding.shape.type_name == "list":
        return ",".join(text_from_value(binding.shape.member, item, RFC822) for item in value)
    return text_from_value(binding.shape, value, RFC822)


def _sendable(name: str, value: str) -> str:
    if _CONTROLS.search(value):
        raise Fault("InvalidArgument", f"Header value cannot be represented: {name} is {value!r}")
    return value


def _raw(value: Any) -> bytes | ResponseBody:
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    body: ResponseBody = value
    return body


def _xml_body(
    operation: OperationModel, shape: Shape, bindings: RestBindings, members: Mapping[str, Any]
) -> bytes:
    if operation.name == "GetBucketLocation":  # its only member is the root itself
        location = xml_text(members.get("LocationConstraint") or "")
        text = f'<LocationConstraint xmlns="{S3_NAMESPACE}">{location}</LocationConstraint>'
    elif bindings.payload is not None:
        value = members.get(bindings.payload.name)
        if value is None:
            return b""
        name = bindings.payload.wire
        namespaced = f'<{name} xmlns="{S3_NAMESPACE}">'
        text = write_xml(bindings.payload.shape, value, name).replace(f"<{name}>", namespaced, 1)
    elif bindings.has_body:
        name = _S3_ROOTS.get(operation.name, f"{operation.name}Result")
        text = f'<{name} xmlns="{S3_NAMESPACE}">{write_members(shape, members)}</{name}>'
    else:
        return b""
    return (XML_DECLARATION + text).encode()


def _json_body(shape: Shape, bindings: RestBindings, members: Mapping[str, Any]) -> bytes:
    if bindings.payload is not None:
        value = members.get(bindings.payload.name)
        return b"" if value is None else json_bytes(write_tree(bindings.payload.shape, value))
    elsewhere = {b.name for b in (*bindings.headers, *bindings.header_maps)}
    inside = {name: value for name, value in members.items() if name not in elsewhere}
    return json_bytes(write_tree(shape, inside))
