"""What botocore's clients write is what operations read, and the other way round."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.compat import HTTPHeaders
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.models import OperationModel, service_model
from clary.service.protocol.parsing import parse
from clary.service.protocol.routing import Route, find_route, route_by_body
from clary.service.protocol.serializing import serialize
from tests.service.protocol.shapes import (
    ANY_TEXT,
    KEYS,
    XML_TEXT,
    Values,
    raw_payload,
    without_empty,
)

# Each service with each protocol that some botocore speaks to it.
SPOKEN = [
    ("sagemaker", "json"),
    ("logs", "json"),
    ("cloudwatch", "json"),
    ("cloudwatch", "query"),
    ("cloudwatch", "smithy-rpc-v2-cbor"),
    ("sts", "query"),
    ("iam", "query"),
    ("sagemaker-runtime", "rest-json"),
    ("sagemaker-metrics", "rest-json"),
    ("s3", "rest-xml"),
]
VALUES = {
    "json": Values(text=ANY_TEXT, empty=True, seconds=False),
    "smithy-rpc-v2-cbor": Values(text=ANY_TEXT, empty=True, seconds=False),
    "query": Values(text=XML_TEXT, empty=False, seconds=True),
    "rest-json": Values(text=KEYS, empty=True, seconds=False),
    "rest-xml": Values(text=KEYS, empty=False, seconds=True),
}
# The two that S3 cannot tell apart by their requests, and one that is no REST resource.
AMBIGUOUS = {
    "GetBucketLifecycle",
    "GetBucketNotification",
    "PutBucketLifecycle",
    "PutBucketNotification",
    "ListDirectoryBuckets",
    "WriteGetObjectResponse",
}
SIGNING = {"cloudwatch": "monitoring", "sagemaker-runtime": "sagemaker"}
SIGNING["sagemaker-metrics"] = "sagemaker"
many = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def comparable(protocol: str, value: Any) -> Any:
    if protocol in {"query", "rest-xml"}:
        return without_empty(value)
    return _spelled(value) if protocol in {"json", "rest-json"} else value


def _spelled(value: Any) -> Any:
    """With infinite numbers as JSON spells them: botocore reads them as the words that they are."""
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def operations(service: str) -> st.SearchStrategy[OperationModel]:
    model = service_model(service)
    found = [model.operation_model(n) for n in model.operation_names if n not in AMBIGUOUS]
    return st.sampled_from([o for o in found if not o.has_event_stream_output])


def sent(service: str, protocol: str, operation: OperationModel, parameters: Any) -> HttpRequest:
    """The request as botocore's HTTP client puts it on the wire."""
    content = create_serializer(protocol, include_validation=False).serialize_to_request(
        parameters, operation
    )
    prepare_request_dict(content, endpoint_url="http://localhost:7788")
    prepared = create_request_object(content).prepare()
    url = urlsplit(prepared.url)
    scope = f"AWS4-HMAC-SHA256 Credential=AK/20250101/us-east-1/{SIGNING.get(service, service)}"
    headers = {name.lower(): value for name, value in prepared.headers.items()}
    body = prepared.body or b""
    return HttpRequest(
        prepared.method,
        url.path or "/",
        url.query,
        {**headers, "host": "localhost:7788", "authorization": f"{scope}/aws4_request"},
        body.encode() if isinstance(body, str) else bytes(body),
    )


@pytest.mark.parametrize(("service", "protocol"), SPOKEN)
@many
@given(data=st.data())
def test_operations_read_what_clients_write(
    service: str, protocol: str, data: st.DataObject
) -> None:
    operation = data.draw(operations(service))
    shape = operation.input_shape
    parameters = data.draw(VALUES[protocol].structure(shape)) if shape else {}
    request = sent(service, protocol, operation, parameters)
    route = find_route(request)
    if protocol == "query":
        route = route_by_body(route, request)
    assert (route.service, route.protocol, route.operation) == (service, protocol, operation.name)
    read = parse(route, operation, request)
    for name in {raw_payload(shape), "ContentLength"} - set(parameters):  # what HTTP itself adds
        read.pop(name, None)
    assert comparable(protocol, read) == comparable(protocol, parameters)


@pytest.mark.parametrize(("service", "protocol"), SPOKEN)
@many
@given(data=st.data())
def test_clients_read_what_operations_answer(
    service: str, protocol: str, data: st.DataObject
) -> None:
    operation = data.draw(operations(service))
    assume(operation.name != "GetBucketLocation")  # botocore's client reads its root by itself
    shape = operation.output_shape
    members = data.draw(VALUES[protocol].structure(shape)) if shape else {}
    response = serialize(Route(service, protocol, operation.name), operation, members, "some-id")
    assert isinstance(response.body, bytes)
    headers = HTTPHeaders()
    for name, value in response.headers.items():
        headers[name] = value
    parsed = create_parser(protocol).parse(
        {"status_code": response.status, "headers": headers, "body": response.body}, shape
    )
    metadata = parsed.pop("ResponseMetadata", {})
    if shape is not None:
        assert metadata["RequestId"] == "some-id"
    parsed.pop(raw_payload(shape), None)
    known = {name: value for name, value in parsed.items() if value is not None}
    assert comparable(protocol, known) == comparable(protocol, members)
