"""Presigned URLs, as boto3 makes them by default and in the newer scheme."""

from __future__ import annotations

import http.client
import time
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.service.conftest import RunningService

BUCKET, KEY, BODY = "presigned", "a folder/ü+b=c&d", b"content"
SCHEMES = [None, "s3", "s3v4"]


@pytest.fixture(params=SCHEMES, ids=["default", "older", "newer"])
def signer(request: pytest.FixtureRequest, service: RunningService) -> Any:
    plain = service.client("s3")
    plain.create_bucket(Bucket=BUCKET)
    plain.put_object(Bucket=BUCKET, Key=KEY, Body=BODY, ContentType="text/plain")
    scheme = {} if request.param is None else {"signature_version": request.param}
    return service.client("s3", config=Config(**scheme))


def fetch(url: str, method: str = "GET", **more: Any) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, method=method, **more))


def refused(url: str, **more: Any) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        fetch(url, **more)
    return caught.value.code, caught.value.read().decode()


def url_of(signer: Any, operation: str = "get_object", seconds: int = 60, **more: Any) -> str:
    parameters = {"Bucket": BUCKET, "Key": KEY, **more}
    url: str = signer.generate_presigned_url(operation, parameters, seconds)
    return url


def test_anybody_can_fetch(signer: Any) -> None:
    with fetch(url_of(signer)) as answer:
        assert answer.read() == BODY
        assert answer.headers["content-type"] == "text/plain"


def test_headers_of_the_answer_can_be_chosen(signer: Any) -> None:
    url = url_of(signer, ResponseContentType="image/jpeg", ResponseCacheControl="no-store, a=b")
    with fetch(url) as answer:
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store, a=b"


def test_headers_that_cannot_be_sent_are_refused(signer: Any) -> None:
    status, text = refused(url_of(signer, ResponseContentType="a\r\nSet-Cookie: b"))
    assert status == 400
    assert "<Code>InvalidArgument</Code>" in text


def test_anybody_can_store(signer: Any, service: RunningService) -> None:
    url = url_of(signer, "put_object", Key="stored", ContentType="text/html", Metadata={"a": "b"})
    headers = {"Content-Type": "text/html", "x-amz-meta-a": "b"}
    assert fetch(url, "PUT", data=b"new", headers=headers).status == 200
    stored = service.client("s3").get_object(Bucket=BUCKET, Key="stored")
    assert stored["Body"].read() == b"new"
    assert stored["ContentType"] == "text/html"


def test_only_what_was_signed_is_allowed(signer: Any) -> None:
    url = url_of(signer)
    assert refused(url, method="DELETE")[0] == 403
    assert refused(url.replace("folder", "Folder"))[0] == 403
    status, text = refused(url_of(signer, ResponseContentType="a/b").replace("a%2Fb", "c%2Fd"))
    assert status == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in text


def test_its_time_ends(signer: Any) -> None:
    url = url_of(signer, seconds=1)
    time.sleep(2.1)
    status, text = refused(url)
    assert status == 403
    assert "Request has expired" in text


@pytest.mark.parametrize("scheme", ["s3", "s3v4"])
def test_temporary_credentials_presign_too(service: RunningService, scheme: str) -> None:
    service.client("s3").create_bucket(Bucket=BUCKET)
    service.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=BODY)
    issued = service.client("sts").get_session_token()["Credentials"]
    session = service.session(
        aws_access_key_id=issued["AccessKeyId"],
        aws_secret_access_key=issued["SecretAccessKey"],
        aws_session_token=issued["SessionToken"],
    )
    config = Config(signature_version=scheme)
    with fetch(url_of(session.client("s3", endpoint_url=service.url, config=config))) as answer:
        assert answer.read() == BODY


@pytest.mark.parametrize("scheme", ["s3", "s3v4"])
def test_the_bucket_may_be_in_the_host(service: RunningService, scheme: str) -> None:
    service.client("s3").create_bucket(Bucket=BUCKET)
    service.client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=BODY)
    config = Config(signature_version=scheme, s3={"addressing_style": "virtual"})
    named = f"http://localhost:{service.port}"
    url = urlsplit(url_of(service.client("s3", endpoint_url=named, config=config)))
    assert url.hostname == f"{BUCKET}.localhost"
    # Not every resolver knows names below localhost; the header is what counts.
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    connection.request("GET", f"{url.path}?{url.query}", headers={"Host": url.netloc})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, BODY)


def test_what_the_url_says_of_the_object_counts(signer: Any, service: RunningService) -> None:
    said = {"ContentType": "text/html", "Metadata": {"a": "b"}, "Tagging": "colour=red"}
    url = url_of(signer, "put_object", Key="said", **said)
    headers = {}
    if "X-Amz-SignedHeaders" in url:  # botocore leaves them to the client in the newer scheme
        headers = {"Content-Type": "text/html", "x-amz-meta-a": "b", "x-amz-tagging": "colour=red"}
    assert send("PUT", url, b"new", headers) == 200
    stored = service.client("s3").get_object(Bucket=BUCKET, Key="said")
    assert (stored["ContentType"], stored["Metadata"]) == ("text/html", {"a": "b"})
    tags = service.client("s3").get_object_tagging(Bucket=BUCKET, Key="said")["TagSet"]
    assert tags == [{"Key": "colour", "Value": "red"}]


def test_a_copy_is_a_copy(service: RunningService) -> None:
    plain = service.client("s3")
    plain.create_bucket(Bucket=BUCKET)
    plain.put_object(Bucket=BUCKET, Key="from", Body=BODY)
    plain.put_object(Bucket=BUCKET, Key="to", Body=b"old")
    source = {"CopySource": {"Bucket": BUCKET, "Key": "from"}}
    assert send("PUT", url_of(plain, "copy_object", Key="to", **source)) == 200
    assert plain.get_object(Bucket=BUCKET, Key="to")["Body"].read() == BODY


def test_headers_may_stand_in_the_query_of_the_newer_scheme(service: RunningService) -> None:
    plain = service.client("s3")
    plain.create_bucket(Bucket=BUCKET)
    keys = Credentials(service.credentials.access_key, service.credentials.secret_key)
    said = {"x-amz-meta-a": "ü b", "Content-Type": "text/html"}
    request = AWSRequest("PUT", f"{service.url}/{BUCKET}/said", params=said)
    S3SigV4QueryAuth(keys, "s3", "us-east-1", expires=60).add_auth(request)
    assert send("PUT", request.url, b"new") == 200
    stored = plain.head_object(Bucket=BUCKET, Key="said")
    assert stored["ContentType"] == "text/html"
    assert stored["Metadata"]["a"].encode("latin-1").decode() == "ü b"


def send(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
    """Without the Content-Type that urllib adds."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request(method, f"{parts.path}?{parts.query}", body or None, headers or {})
    return connection.getresponse().status
