"""The HTTP edge: many callers at once, large and broken bodies, connections that go on."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor
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
