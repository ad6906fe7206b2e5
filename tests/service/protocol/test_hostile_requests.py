"""Requests that are made to hurt: each is answered in AWS's words, at once."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest

from clary.service.faults import Fault
from clary.service.protocol.authorization import scope_service
from clary.service.protocol.canonical import collapsed
from clary.service.protocol.chain import Chain
from clary.service.protocol.malformed import Malformed
from clary.service.protocol.messages import HttpRequest, HttpResponse
from clary.service.protocol.models import service_model
from clary.service.protocol.parsing import parse
from clary.service.protocol.payload import open_payload
from clary.service.protocol.query_values import read_query
from clary.service.protocol.routing import CBOR, JSON, REST_XML, Route, Unrouted, find_route
from clary.service.protocol.signature import Verified, verify
from clary.service.protocol.xml_values import read_xml
from tests.service.protocol.test_signature import KEYS, S3, SCOPE, refused

DIGITS = "9" * 5000


def get(path: str = "/b/k", query: str = "", **headers: str) -> HttpRequest:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest("GET", path, query, {"host": "localhost", **told})


@pytest.mark.parametrize("filling", [" a", "Credential=", "a", "=", ",", "Credential=a/"])
def test_a_long_authorization_header_costs_no_time(filling: str) -> None:
    request = get(authorization="AWS4-HMAC-SHA256 " + filling * (200_000 // len(filling)))
    begun = time.perf_counter()
    assert scope_service(request) is None
    fault = refused(request, S3)
    assert time.perf_counter() - begun < 5
    assert (fault.status, "longer than 8192 bytes" in fault.message) == (400, True)


@pytest.mark.parametrize("stamp", ["20261399T000000Z", "20260101T250000Z", "00000101T000000Z"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    scope = SCOPE.replace("20130524", stamp[:8])
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=a"
    fault = refused(get(authorization=header, x_amz_date=stamp), S3)
    assert (fault.code, fault.status) == ("AuthorizationHeaderMalformed", 400)
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}&X-Amz-Date={stamp}"
        "&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=a"
    )
    assert refused(get(query=query), S3).code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize("date", ["Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 0:00 -2359"])
def test_the_edges_of_time_are_refused(date: str) -> None:
    header = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=a"
    assert refused(get(authorization=header, date=date), S3).status == 400


def test_numbers_of_too_many_digits_are_refused() -> None:
    newer = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE}&X-Amz-Date=20130524T000000Z"
        f"&X-Amz-Expires={DIGITS}&X-Amz-SignedHeaders=host&X-Amz-Signature=a"
    )
    assert refused(get(query=newer), S3).code == "AuthorizationQueryParametersError"
    older = f"AWSAccessKeyId=a&Signature=b&Expires={DIGITS}"
    with pytest.raises(Fault, match="requires the Signature, Expires"):
        verify(get(query=older), S3, KEYS, lambda: datetime.now(tz=timezone.utc))
    with pytest.raises(Fault, match="must be a number of bytes"):
        open_payload(get(content_length=DIGITS), Verified("", "UNSIGNED-PAYLOAD"), Nothing())
    shape = service_model("iam").operation_model("TagRole").input_shape
    with pytest.raises(Malformed, match="numbered from 1"):
        read_query(shape, {f"Tags.member.{DIGITS}.Key": "a"})


class Nothing:
    def read(self, size: int) -> bytes:
        return b""


def test_an_encoding_that_is_not_taken_off_is_refused() -> None:
    request = get(content_encoding="gzip,aws-chunked", content_length="5")
    with pytest.raises(Fault, match="x-amz-content-sha256 must be STREAMING-"):
        open_payload(request, Verified("", "UNSIGNED-PAYLOAD"), Nothing())


@pytest.mark.parametrize("path", ["/b/%ff", "/b/a%c3", "/%80/k"])
def test_a_key_that_is_no_text_is_refused(path: str) -> None:
    with pytest.raises(Unrouted) as caught:
        find_route(get(path))
    assert (caught.value.fault.code, caught.value.fault.status) == ("InvalidURI", 400)


def test_bytes_of_letters_are_no_spaces() -> None:
    letter = "à  \t…".encode().decode("latin-1")
    assert collapsed(f" \t{letter}\xa0\x85 ") == f"{'à …'.encode().decode('latin-1')}\xa0\x85"


def answered(target: str, body: bytes) -> HttpResponse:
    """What the chain makes of a body that is no operation's."""
    service, _, operation = target.partition(".")
    model = service_model(service).operation_model(operation)
    try:
        parse(Route(service, JSON, operation), model, HttpRequest("POST", "/", "", {}, body))
    except Fault as fault:
        assert fault.code == "SerializationException"
        return HttpResponse(fault.status)
    raise AssertionError("it was taken")


@pytest.mark.parametrize(
    "body",
    [
        rb'{"TrainingJobName": "\ud800"}',
        b'{"TrainingJobName": "\xed\xa0\x80"}',
        b'{"TrainingJobName": "\xff"}',
        b'{"MaxResults": ' + DIGITS.encode() + b"}",
        b'{"MaxResults": ' + b"9" * 400 + b"}",
    ],
)
def test_what_is_no_text_and_no_number_is_refused(body: bytes) -> None:
    assert answered("sagemaker.ListTrainingJobs", body).status == 400


def test_numbers_of_cbor_have_an_end() -> None:
    import cbor2

    model = service_model("cloudwatch").operation_model("PutMetricData")
    datum = {"MetricName": "m", "Value": 10**400, "StorageResolution": 10**400}
    body = cbor2.dumps({"Namespace": "n", "MetricData": [datum]})
    with pytest.raises(Fault, match="too large for a Double"):
        parse(
            Route("cloudwatch", CBOR, "PutMetricData"),
            model,
            HttpRequest("POST", "/", "", {}, body),
        )


def test_a_fault_can_always_be_written() -> None:
    chain = Chain(None, {}, KEYS)  # type: ignore[arg-type] - nothing is operated
    for protocol, service in ((JSON, "sagemaker"), (REST_XML, "s3")):
        route = Route(service, protocol, "No\ud800")
        _, response = chain.answer(route, get(), None, "some-id")
        assert response.status in {400, 403}


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete>" + b"<a>" * 12 + b"</a>" * 12 + b"</Delete>",
        b"<Delete>" + b"<a/>" * 100_001 + b"</Delete>",
        b"<Delete>" + b" " * (4 << 20) + b"</Delete>",
    ],
    ids=["deep", "many", "long"],
)
def test_xml_has_an_end(body: bytes) -> None:
    shape = service_model("s3").shape_for("Delete")
    with pytest.raises(Malformed):
        read_xml(shape, body)


def test_the_largest_upload_is_completed() -> None:
    shape = service_model("s3").shape_for("CompletedMultipartUpload")
    part = (
        "<Part><ETag>&quot;{0:032x}&quot;</ETag><ChecksumSHA256>{0:044x}</ChecksumSHA256>"
        "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><PartNumber>{0}</PartNumber></Part>"
    )
    body = "".join(part.format(number) for number in range(1, 10_001))
    text = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>"
    assert len(read_xml(shape, text.encode())["Parts"]) == 10_000
