"""CloudWatch in each protocol that some botocore speaks to it, over the wire."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from clary.service.protocol.models import service_model
from tests.service.conftest import RunningService

PROTOCOLS = ["query", "json", "smithy-rpc-v2-cbor"]
NOW = datetime.now(tz=timezone.utc).replace(microsecond=0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    running.start()
    yield running
    running.stop()


def ask(service: RunningService, protocol: str, name: str, **parameters: Any) -> dict[str, Any]:
    """What a client gets that speaks this protocol and no other."""
    operation = service_model("cloudwatch").operation_model(name)
    content = create_serializer(protocol).serialize_to_request(parameters, operation)
    prepare_request_dict(content, endpoint_url=service.url)
    request = create_request_object(content)
    keys = Credentials(service.credentials.access_key, service.credentials.secret_key)
    SigV4Auth(keys, "monitoring", "us-east-1").add_auth(request)
    prepared = request.prepare()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    path = "/" + prepared.url.split("/", 3)[3]
    connection.request(prepared.method, path, prepared.body, dict(prepared.headers))
    answer = connection.getresponse()
    headers = HTTPHeaders()
    for header, value in answer.getheaders():
        headers[header] = value
    found: dict[str, Any] = create_parser(protocol).parse(
        {"status_code": answer.status, "headers": headers, "body": answer.read()},
        operation.output_shape,
    )
    return found


@pytest.mark.parametrize("written_in", PROTOCOLS)
def test_what_one_protocol_stores_all_others_read(service: RunningService, written_in: str) -> None:
    data = {"MetricName": written_in, "Timestamp": NOW, "Value": 2.5, "Unit": "Seconds"}
    stored = ask(service, written_in, "PutMetricData", Namespace="mine", MetricData=[data])
    assert stored["ResponseMetadata"]["HTTPStatusCode"] == 200
    for protocol in PROTOCOLS:
        listed = ask(service, protocol, "ListMetrics", MetricName=written_in)
        assert [metric["Namespace"] for metric in listed["Metrics"]] == ["mine"]
        shown = ask(
            service,
            protocol,
            "GetMetricStatistics",
            Namespace="mine",
            MetricName=written_in,
            StartTime=NOW - timedelta(minutes=5),
            EndTime=NOW + timedelta(minutes=5),
            Period=60,
            Statistics=["Average"],
        )
        (point,) = shown["Datapoints"]
        assert point["Average"] == 2.5
        assert point["Timestamp"] == NOW.replace(second=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors_come_in_the_protocol_of_the_request(service: RunningService, protocol: str) -> None:
    answer = ask(service, protocol, "ListDashboards")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "Clary does not offer ListDashboards of cloudwatch" in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["RequestId"]
