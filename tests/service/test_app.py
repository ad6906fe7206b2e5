"""The HTTP edge: many callers at once, large and broken bodies, connections that go on."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.service.conftest import RunningService

CALLERS = 500


def signed_head(service: RunningService, body: bytes = b"") -> bytes:
    """GetCallerIdentity, as it goes over the wire."""
    content = body or b"Action=GetCallerIdentity&Version=2011-06-15"
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest("POST", service.url + "/", kind, content)
    keys = Credentials(service.credentials.access_key, service.credentials.secret_key)
    SigV4Auth(keys, "sts", "us-east-1").add_auth(request)
    lines = [f"Host: 127.0.0.1:{service.port}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode() + content


async def ask(service: RunningService, request: bytes, together: asyncio.Event) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    await together.wait()
    writer.write(request)
    await writer.drain()
    line = await reader.readline()
    writer.close()
    return line


def test_of_500_requests_at_once_none_is_dropped(service: RunningService) -> None:
    async def storm() -> list[bytes]:
        together = asyncio.Event()
        request = signed_head(service)
        callers = [asyncio.create_task(ask(service, request, together)) for _ in range(CALLERS)]
        await asyncio.sleep(0.2)
        together.set()
        return await asyncio.gather(*callers)

    for _ in range(2):
        assert asyncio.run(storm()) == [b"HTTP/1.1 200 OK\r\n"] * CALLERS


def test_500_connections_at_once_are_all_accepted(service: RunningService) -> None:
    def connect(_: int) -> bytes:
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
            connection.sendall(request)
            return connection.recv(15)

    request = signed_head(service)
    with ThreadPoolExecutor(100) as threads:
        assert list(threads.map(connect, range(CALLERS))) == [b"HTTP/1.1 200 OK"] * CALLERS


def connection(service: RunningService) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(service: RunningService) -> None:
    open_ = connection(service)
    open_.putrequest("POST", "/")
    open_.putheader("X-Amz-Target", "SageMaker.ListTrainingJobs")
    open_.putheader("Content-Length", str(1 << 40))
    open_.endheaders()
    answer = open_.getresponse()
    assert answer.status == 413
    assert answer.getheader("connection") == "close"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 403),
        ("BREW", "/", 400),
        ("GET", "/" + "a" * 5000, 403),
        ("POST", "/bucket", 405),
        ("GET", "//key", 405),
        ("OPTIONS", "/bucket/key", 405),
    ],
)
def test_strange_requests_are_answered(
    service: RunningService, method: str, path: str, status: int
) -> None:
    open_ = connection(service)
    open_.request(method, path)
    assert open_.getresponse().status == status


@pytest.mark.parametrize("start", [b"\x16\x03\x01 hello", b"GET / HTTP/9\r\n\r\n", b"\r\n\r\n"])
def test_what_is_no_http_harms_nobody(service: RunningService, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as broken:
        broken.sendall(start)
    assert service.client("sts").get_caller_identity()


def test_a_client_that_breaks_off_harms_nobody(service: RunningService) -> None:
    request = signed_head(service)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port)) as broken:
            broken.sendall(request[:-10])
    assert service.client("sts").get_caller_identity()


@pytest.mark.parametrize("target", [None, "SageMaker.ListTrainingJobs"])
def test_a_refused_body_does_not_swallow_the_answer(
    service: RunningService, target: str | None
) -> None:
    open_ = connection(service)
    headers = {"X-Amz-Target": target} if target else {}
    open_.request("PUT", "/bucket/key", body=bytes(64 << 20), headers=headers)
    answer = open_.getresponse()
    assert answer.status == (413 if target else 403)
    assert answer.read()


def test_requests_share_a_connection(service: RunningService) -> None:
    request = signed_head(service)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as shared:
        shared.sendall(request * 5)
        received = b""
        while received.count(b"</GetCallerIdentityResponse>") < 5:
            received += shared.recv(1 << 16)
    assert received.count(b"HTTP/1.1 200 OK") == 5


def error(client: Any, operation: str, **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**parameters)
    response: dict[str, Any] = caught.value.response
    return response


def test_anonymous_requests_are_refused(service: RunningService) -> None:
    def anonymous(name: str) -> Any:
        config = Config(signature_version=UNSIGNED)
        return boto3.client(name, endpoint_url=service.url, region_name="us-east-1", config=config)

    sagemaker = error(anonymous("sagemaker"), "list_training_jobs")
    assert sagemaker["Error"]["Code"] == "MissingAuthenticationTokenException"
    assert error(anonymous("s3"), "list_buckets")["Error"]["Code"] == "AccessDenied"
    sts = error(anonymous("sts"), "get_caller_identity")
    assert sts["Error"]["Code"] == "MissingAuthenticationToken"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/photos/cat.jpg", {}),
        ("PUT", "/photos/cat.jpg", {}),
        ("POST", "/", {"X-Amz-Target": "SageMaker.ListTrainingJobs"}),
        ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("POST", "/endpoints/dogs/invocations", {"Content-Type": "image/jpeg"}),
    ],
)
def test_a_web_page_whose_name_leads_here_has_no_keys(
    service: RunningService, method: str, path: str, headers: dict[str, str]
) -> None:
    open_ = connection(service)
    body = b"Action=GetCallerIdentity&Version=2011-06-15" if method == "POST" else None
    page = {"Host": "pages.example", "Origin": "http://pages.example"}
    open_.request(method, path, body, {**headers, **page})
    answer = open_.getresponse()
    told = answer.read()
    assert answer.status in {400, 403}
    assert b"AuthenticationToken" in told or b"AccessDenied" in told
    assert answer.headers["access-control-allow-origin"] is None
    open_.close()


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("kind", ["invocations", "async-invocations"])
def test_an_invocation_that_nobody_signed_is_refused_as_one(
    service: RunningService, kind: str, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    open_ = connection(service)
    open_.request("POST", f"/endpoints/dogs/{kind}", b"a=picture", headers)
    answer = open_.getresponse()
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"].startswith("MissingAuthenticationTokenException")
    assert json.loads(answer.read())["message"] == "Missing Authentication Token"
    open_.close()


@pytest.mark.parametrize(
    ("service_name", "operation", "parameters", "code"),
    [
        ("sagemaker", "list_apps", {}, "UnknownOperationException"),
        ("iam", "list_groups", {}, "InvalidAction"),
        ("s3", "get_bucket_inventory_configuration", {"Bucket": "b", "Id": "i"}, "NotImplemented"),
        ("cloudwatch", "list_dashboards", {}, "UnknownOperationException"),
        ("logs", "list_log_anomaly_detectors", {}, "UnknownOperationException"),
    ],
)
def test_an_operation_that_is_not_offered_is_named(
    service: RunningService,
    service_name: str,
    operation: str,
    parameters: dict[str, Any],
    code: str,
) -> None:
    client = service.client(service_name)
    answer = error(client, operation, **parameters)
    assert answer["Error"]["Code"] == code
    name = client.meta.method_to_api_mapping[operation]
    assert (
        f"Clary does not offer {name} of {service_name}. It offers: "
        in (answer["Error"]["Message"])
    )


@pytest.mark.parametrize("service_name", ["dynamodb", "ec2", "lambda", "sqs", "route53"])
def test_a_service_that_is_not_offered_is_named(service: RunningService, service_name: str) -> None:
    operations = {
        "dynamodb": "list_tables",
        "ec2": "describe_regions",
        "lambda": "list_functions",
        "sqs": "list_queues",
        "route53": "list_hosted_zones",
    }
    answer = error(service.client(service_name), operations[service_name])
    assert "it offers sagemaker, sagemaker-runtime" in answer["Error"]["Message"]


def test_all_violations_come_at_once(service: RunningService) -> None:
    client = service.session().client(
        "sagemaker", endpoint_url=service.url, config=Config(parameter_validation=False)
    )
    answer = error(
        client,
        "create_training_job",
        TrainingJobName="not_a_name!",
        ResourceConfig={"InstanceType": "ml.none", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 0},
        InputDataConfig=[{"ChannelName": "a b", "DataSource": {}}],
        HyperParameters={"k": "v" * 2501},
    )
    assert answer["Error"]["Code"] == "ValidationException"
    message = answer["Error"]["Message"]
    for words in (
        "validation errors detected: ",
        "Value 'not_a_name!' at 'trainingJobName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: ",
        "Value 'ml.none' at 'resourceConfig.instanceType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ml.",
        "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1",
        "Value 'a b' at 'inputDataConfig.1.member.channelName' failed to satisfy constraint: ",
        "Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
        "Map value must satisfy constraint: [Member must have length less than or equal to 2500]",
    ):
        assert words in message, message


def presigned_put(service: RunningService, key: str, length: int) -> bytes:
    """The head of an upload that the service believes, without the body."""
    parameters = {"Bucket": "stalled", "Key": key}
    url = service.client("s3").generate_presigned_url("put_object", parameters)
    path = url.removeprefix(service.url)
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def test_stalled_uploads_do_not_hold_downloads_up(service: RunningService) -> None:
    client = service.client("s3")
    client.create_bucket(Bucket="stalled")
    client.put_object(Bucket="stalled", Key="big", Body=bytes(4 << 20))
    head = presigned_put(service, "never", 9 << 20)
    uploads = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(70)]
    try:
        for upload in uploads:
            upload.sendall(head + b"abc")
        time.sleep(0.5)
        begun = time.monotonic()
        body = client.get_object(Bucket="stalled", Key="big")["Body"].read()
        assert (len(body), time.monotonic() - begun < 5) == (4 << 20, True)
    finally:
        for upload in uploads:
            upload.close()


def test_copies_do_not_hold_quick_calls_up(service: RunningService) -> None:
    client = service.client("s3", config=Config(max_pool_connections=40))
    client.create_bucket(Bucket="copies")
    client.put_object(Bucket="copies", Key="big", Body=bytes(32 << 20))

    def copy(number: int) -> None:
        source = {"Bucket": "copies", "Key": "big"}
        client.copy_object(Bucket="copies", Key=f"copy-{number}", CopySource=source)

    with ThreadPoolExecutor(40) as threads:
        copies = [threads.submit(copy, number) for number in range(40)]
        slowest = 0.0
        while not all(done.done() for done in copies):
            begun = time.monotonic()
            client.head_object(Bucket="copies", Key="big")
            slowest = max(slowest, time.monotonic() - begun)
    for done in copies:
        done.result()
    assert slowest < 0.6


def test_the_memory_for_unknown_senders_is_bounded(own_service: RunningService) -> None:
    head = (
        "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: SageMaker.ListTrainingJobs\r\n"
        f"Content-Length: {32 << 20}\r\n\r\n"
    ).encode()
    port = own_service.port
    senders = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(9)]
    try:
        for sender in senders:
            sender.sendall(head + b" ")
        assert senders[-1].recv(12) == b"HTTP/1.1 503"
        assert own_service.client("sts").get_caller_identity()
        client = own_service.client("s3")
        client.create_bucket(Bucket="room")
        assert client.put_object(Bucket="room", Key="k", Body=bytes(1 << 19))
    finally:
        for sender in senders:
            sender.close()
    time.sleep(0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as late:
        late.sendall(head + b" " * (32 << 20))
        assert late.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize(
    "head",
    [
        b"a: " + b"a" * (80 << 10) + b"\r\n",
        b"a: " + b"a" * (8 << 20),
        b"".join(b"name-%d: value\r\n" % number for number in range(9000)),
    ],
    ids=["whole", "endless", "many"],
)
def test_a_head_has_an_end(service: RunningService, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sender:
        with suppress(ConnectionError):
            sender.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
        with suppress(ConnectionError):
            assert sender.recv(12) in {b"HTTP/1.1 431", b""}
    assert service.client("sts").get_caller_identity()


def test_a_slow_upload_starves_nobody(service: RunningService) -> None:
    uploads = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(70)]
    try:
        for upload in uploads:
            upload.sendall(b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nabc")
        begun = time.monotonic()
        assert service.client("sts").get_caller_identity()
        assert time.monotonic() - begun < 10
    finally:
        for upload in uploads:
            upload.close()
