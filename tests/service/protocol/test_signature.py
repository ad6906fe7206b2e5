"""SigV4: AWS's own examples, whatever botocore signs, and everything that was changed since."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.formats.credentials import Credentials
from clary.service.faults import Fault
from clary.service.keys import CALLER_ARN, KeyRing
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.routing import JSON, QUERY, REST_JSON, REST_XML, Route
from clary.service.protocol.signature import Verified, verify

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EXAMPLE = Credentials(
    access_key="AKIAIOSFODNN7EXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region="us-east-1",
)
EXAMPLE_TIME = datetime(2013, 5, 24, tzinfo=timezone.utc)
EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
S3 = Route("s3", REST_XML, "GetObject")
KEYS = KeyRing(EXAMPLE)
SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"

segments = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8)
paths = st.lists(segments, max_size=4).map("/".join)
queries = st.dictionaries(segments, st.text(st.characters(codec="utf-8"), max_size=8), max_size=4)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
headers = st.dictionaries(
    st.sampled_from(["content-type", "x-amz-meta-a", "x-amz-meta-b", "range"]), header_values
)


def check(request: HttpRequest, route: Route, now: datetime = EXAMPLE_TIME) -> Verified:
    return verify(request, route, KEYS, lambda: now)


def refused(request: HttpRequest, route: Route, now: datetime = EXAMPLE_TIME) -> Fault:
    with pytest.raises(Fault) as caught:
        check(request, route, now)
    return caught.value


def as_received(signed: AWSRequest) -> HttpRequest:
    prepared = signed.prepare()
    url = urlsplit(prepared.url)
    found = {name.lower(): str(value) for name, value in prepared.headers.items()}
    found.setdefault("host", url.netloc)
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    return HttpRequest(prepared.method, url.path or "/", url.query, found, body)


def test_the_get_object_of_the_documents() -> None:
    request = HttpRequest(
        "GET",
        "/test.txt",
        "",
        {
            "host": "examplebucket.s3.amazonaws.com",
            "range": "bytes=0-9",
            "x-amz-content-sha256": EMPTY_HASH,
            "x-amz-date": "20130524T000000Z",
            "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE},"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        },
    )
    assert check(request, S3) == Verified(CALLER_ARN, EMPTY_HASH)


def test_the_list_of_the_documents() -> None:
    request = HttpRequest(
        "GET",
        "/",
        "max-keys=2&prefix=J",
        {
            "host": "examplebucket.s3.amazonaws.com",
            "x-amz-content-sha256": EMPTY_HASH,
            "x-amz-date": "20130524T000000Z",
            "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, "
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
            "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        },
    )
    assert check(request, S3).caller_arn == CALLER_ARN


PRESIGNED = HttpRequest(
    "GET",
    "/test.txt",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    {"host": "examplebucket.s3.amazonaws.com"},
)


def test_the_presigned_url_of_the_documents_holds_for_its_day() -> None:
    assert check(PRESIGNED, S3).payload_hash == "UNSIGNED-PAYLOAD"
    assert check(PRESIGNED, S3, EXAMPLE_TIME + timedelta(seconds=86399))
    late = refused(PRESIGNED, S3, EXAMPLE_TIME + timedelta(seconds=86401))
    assert (late.code, late.message, late.status) == ("AccessDenied", "Request has expired", 403)
    assert refused(PRESIGNED, S3, EXAMPLE_TIME - timedelta(minutes=16)).status == 403


@settings(max_examples=150, deadline=None)
@given(path=paths, query=queries, given_headers=headers, body=st.binary(max_size=20))
def test_what_botocore_signs_for_s3_is_believed(
    path: str, query: dict[str, str], given_headers: dict[str, str], body: bytes
) -> None:
    url = f"http://localhost:7788/{quote(path, safe='/~')}"
    signed = AWSRequest("PUT", url, dict(given_headers), body, query)
    keys = BotocoreCredentials(EXAMPLE.access_key, EXAMPLE.secret_key)
    S3SigV4Auth(keys, "s3", "eu-west-1").add_auth(signed)
    now = datetime.now(tz=timezone.utc)
    request = as_received(signed)
    assert check(request, Route("s3", REST_XML, "DeleteObjects"), now).caller_arn == CALLER_ARN
    changed = request.with_body(body + b"x")
    fault = refused(changed, Route("s3", REST_XML, "DeleteObjects"), now)
    assert fault.code == "XAmzContentSHA256Mismatch"


@settings(max_examples=100, deadline=None)
@given(path=paths, query=queries, body=st.binary(max_size=20))
def test_what_botocore_signs_for_other_services_is_believed(
    path: str, query: dict[str, str], body: bytes
) -> None:
    url = f"http://localhost:7788/{quote(path, safe='/~')}"
    signed = AWSRequest("POST", url, {"content-type": "application/json"}, body, query)
    keys = BotocoreCredentials(EXAMPLE.access_key, EXAMPLE.secret_key)
    SigV4Auth(keys, "sagemaker", "us-west-2").add_auth(signed)
    now = datetime.now(tz=timezone.utc)
    request, route = as_received(signed), Route("sagemaker-runtime", REST_JSON, "InvokeEndpoint")
    assert check(request, route, now).caller_arn == CALLER_ARN
    fault = refused(request.with_body(body + b"x"), route, now)
    assert (fault.code, fault.status) == ("InvalidSignatureException", 400)


@settings(max_examples=100, deadline=None)
@given(path=paths, query=queries)
def test_urls_that_botocore_presigns_are_believed(path: str, query: dict[str, str]) -> None:
    signed = AWSRequest("GET", f"http://localhost:7788/{quote(path, safe='/~')}", params=query)
    keys = BotocoreCredentials(EXAMPLE.access_key, EXAMPLE.secret_key)
    S3SigV4QueryAuth(keys, "s3", "us-east-1", expires=60).add_auth(signed)
    now = datetime.now(tz=timezone.utc)
    request = as_received(signed)
    assert check(request, S3, now).caller_arn == CALLER_ARN
    assert refused(request, S3, now + timedelta(seconds=62)).code == "AccessDenied"


def signed_now(service: str, *, secret: str = EXAMPLE.secret_key, key: str = "") -> HttpRequest:
    request = AWSRequest("POST", "http://localhost:7788/", {"content-type": "x"}, b"body")
    keys = BotocoreCredentials(key or EXAMPLE.access_key, secret)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(keys, service, "us-east-1").add_auth(request)
    return as_received(request)


STS = Route("sts", QUERY, "GetCallerIdentity")
LOGS = Route("logs", JSON, "GetLogEvents")
DELETE = Route("s3", REST_XML, "DeleteObjects")


@pytest.mark.parametrize(
    ("route", "code", "status"),
    [
        (STS, "SignatureDoesNotMatch", 403),
        (LOGS, "InvalidSignatureException", 400),
        (DELETE, "SignatureDoesNotMatch", 403),
    ],
)
def test_another_secret_is_refused(route: Route, code: str, status: int) -> None:
    fault = refused(signed_now(route.service, secret="s" * 40), route, datetime.now(timezone.utc))
    assert (fault.code, fault.status) == (code, status)


@pytest.mark.parametrize(
    ("route", "code", "status"),
    [
        (STS, "InvalidClientTokenId", 403),
        (LOGS, "UnrecognizedClientException", 400),
        (DELETE, "InvalidAccessKeyId", 403),
    ],
)
def test_another_key_is_refused(route: Route, code: str, status: int) -> None:
    fault = refused(signed_now(route.service, key="AKIAOTHER"), route, datetime.now(timezone.utc))
    assert (fault.code, fault.status) == (code, status)


@pytest.mark.parametrize(
    ("route", "code", "status"),
    [
        (STS, "MissingAuthenticationToken", 403),
        (LOGS, "MissingAuthenticationTokenException", 400),
        (DELETE, "AccessDenied", 403),
    ],
)
def test_no_signature_is_refused(route: Route, code: str, status: int) -> None:
    fault = refused(HttpRequest("POST", "/", "", {"host": "localhost"}), route)
    assert (fault.code, fault.status) == (code, status)


@pytest.mark.parametrize(
    ("route", "code"),
    [
        (STS, "SignatureDoesNotMatch"),
        (LOGS, "InvalidSignatureException"),
        (DELETE, "RequestTimeTooSkewed"),
    ],
)
@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_may_be_wrong_by_a_quarter_of_an_hour(
    route: Route, code: str, minutes: int
) -> None:
    now = datetime.now(tz=timezone.utc)
    request = signed_now(route.service)
    assert check(request, route, now + timedelta(minutes=minutes * 14 // 16))
    assert refused(request, route, now + timedelta(minutes=minutes)).code == code


def test_a_signature_for_another_service_is_refused() -> None:
    fault = refused(signed_now("sts"), LOGS, datetime.now(timezone.utc))
    assert "Credential should be scoped to correct service: 'logs'" in fault.message


def test_s3_wants_its_own_headers_signed() -> None:
    request = signed_now("s3")
    added = {**request.headers, "x-amz-acl": "public-read"}
    fault = refused(
        HttpRequest(request.method, request.path, "", added, request.body),
        DELETE,
        datetime.now(timezone.utc),
    )
    assert fault.members == {"HeadersNotSigned": "x-amz-acl"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("AWS AKIAIOSFODNN7EXAMPLE:c2ln", "Please use AWS4-HMAC-SHA256"),
        ("Bearer abc", "Please use AWS4-HMAC-SHA256"),
        ("AWS4-HMAC-SHA256 Signature=1", "requires 'Credential' parameter"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}", "requires 'Signature' parameter"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, Signature=a", "requires 'SignedHeaders'"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, Signature=a, SignedHeaders=host",
            "exactly 5 slash-delimited elements",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential={SCOPE}, Signature=a, SignedHeaders=date",
            "'Host' or ':authority' must be a 'SignedHeader'",
        ),
    ],
)
def test_a_broken_header_is_named(header: str, words: str) -> None:
    found = {"host": "localhost", "authorization": header, "x-amz-date": "20130524T000000Z"}
    fault = refused(HttpRequest("GET", "/b/k", "", found), S3)
    assert words in fault.message
    assert fault.status == 400


@given(header=st.text(st.characters(min_codepoint=32, max_codepoint=255)))
def test_any_header_is_answered(header: str) -> None:
    found = {"host": "localhost", "authorization": header, "x-amz-date": header}
    assert refused(HttpRequest("GET", "/b/k", "", found), S3).status in {400, 403}
    presigned = HttpRequest("GET", "/b/k", f"X-Amz-Algorithm={header}", {"host": "localhost"})
    assert refused(presigned, S3).status in {400, 403}
