"""Errors, as botocore's parsers read them in every protocol."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.compat import HTTPHeaders
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from clary.service.faults import Fault
from clary.service.protocol.fault_writing import write_fault
from clary.service.protocol.messages import HttpRequest, HttpResponse
from clary.service.protocol.routing import Route
from tests.service.protocol.shapes import XML_TEXT
from tests.service.protocol.test_round_trips import SPOKEN

GET = HttpRequest("GET", "/bucket/key", "", {"host": "localhost"})
codes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20)


def parsed(protocol: str, response: HttpResponse) -> dict[str, Any]:
    headers = HTTPHeaders()
    for name, value in response.headers.items():
        headers[name] = value
    found: dict[str, Any] = create_parser(protocol).parse(
        {"status_code": response.status, "headers": headers, "body": response.body}, None
    )
    return found


@pytest.mark.parametrize(("service", "protocol"), SPOKEN)
@given(
    code=codes,
    message=XML_TEXT.filter(lambda text: text.strip() == text),
    status=st.sampled_from([400, 403, 404, 409, 412, 500, 501]),
)
def test_code_and_message_arrive(
    service: str, protocol: str, code: str, message: str, status: int
) -> None:
    route = Route(service, protocol, "Anything")
    response = write_fault(route, GET, Fault(code, message, status), "some-id")
    found = parsed(protocol, response)
    assert found["Error"]["Code"] == code
    assert (found["Error"]["Message"] or "") == message
    assert found["ResponseMetadata"]["RequestId"] == "some-id"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == status


def test_members_of_s3_errors_arrive() -> None:
    fault = Fault("NoSuchKey", "The specified key does not exist.", 404, members={"Key": "a&b"})
    response = write_fault(Route("s3", "rest-xml", "GetObject"), GET, fault, "some-id")
    error = parsed("rest-xml", response)["Error"]
    assert (error["Key"], error["Resource"]) == ("a&b", "/bucket/key")


def test_a_head_has_no_body_and_its_code_is_the_status() -> None:
    head = HttpRequest("HEAD", "/bucket", "", {})
    fault = Fault("NoSuchBucket", "The specified bucket does not exist", 404)
    response = write_fault(Route("s3", "rest-xml", "HeadBucket"), head, fault, "some-id")
    assert response.body == b""
    error = parsed("rest-xml", response)["Error"]
    assert (error["Code"], error["Message"]) == ("404", "Not Found")


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor"])
def test_cloudwatch_says_its_older_codes_beside_the_new_ones(protocol: str) -> None:
    fault = Fault("ResourceNotFound", "gone", 404)
    route = Route("cloudwatch", protocol, "GetDashboard")
    response = write_fault(route, GET, fault, "some-id")
    assert response.headers["x-amzn-query-error"] == "ResourceNotFound;Sender"
    error = parsed(protocol, response)["Error"]
    assert error["Code"] == "ResourceNotFound"
    assert error["QueryErrorCode"] == "DashboardNotFoundError"


def test_bugs_are_the_receivers_fault() -> None:
    fault = Fault("InternalFailure", "sorry", 500)
    response = write_fault(Route("sts", "query", "AssumeRole"), GET, fault, "some-id")
    assert parsed("query", response)["Error"]["Type"] == "Receiver"
