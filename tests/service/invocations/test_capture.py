from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.service.invocations.capture import Captured, event
from tests.service.invocations.conftest import Stage
from tests.service.invocations.test_invoking import Serve, invoke, refused
from tests.service.invocations.tiny_replica import Said

BOTH = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]


def config(percentage: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": "s3://captured/some/place/",
        "CaptureOptions": BOTH,
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
        **changes,
    }


def captured(stage: Stage, endpoint: str) -> list[tuple[str, dict[str, Any]]]:
    """Keys and events of an endpoint, once the seconds of gathering are over."""
    stage.invocations.store()
    s3 = stage.client("s3")
    listed = s3.list_objects_v2(Bucket="captured", Prefix=f"some/place/{endpoint}/")
    found = []
    for one in listed.get("Contents", ()):
        text = s3.get_object(Bucket="captured", Key=one["Key"])["Body"].read().decode()
        found += [(one["Key"], json.loads(line)) for line in text.splitlines()]
    return found


@pytest.fixture(scope="module", autouse=True)
def bucket(stage: Stage) -> None:
    stage.client("s3").create_bucket(Bucket="captured")


def test_requests_and_answers_lie_in_s3(stage: Stage, serve: Serve) -> None:
    name, _ = serve(
        lambda asked: Said(200, b"0.5,0.5", {"content-type": "text/csv; charset=utf-8"}),
        DataCaptureConfig=config(),
    )
    answered = invoke(
        stage,
        name,
        '{"ä":1}'.encode(),
        ContentType="application/json",
        InferenceId="mine",
        CustomAttributes="who=me",
    )
    invoke(stage, name, b"\xff\xd8", ContentType="image/jpeg")
    found = captured(stage, name)
    assert len(found) == 2
    key, first = found[0]
    assert re.fullmatch(
        rf"some/place/{name}/AllTraffic/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-[0-9a-f-]{{36}}\.jsonl",
        key,
    )
    moment = first["eventMetadata"].pop("inferenceTime")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment)
    assert first == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "application/json",
                "mode": "INPUT",
                "data": '{"ä":1}',
                "encoding": "JSON",
            },
            "endpointOutput": {
                "observedContentType": "text/csv; charset=utf-8",
                "mode": "OUTPUT",
                "data": "0.5,0.5",
                "encoding": "CSV",
            },
        },
        "eventMetadata": {
            "eventId": answered["ResponseMetadata"]["RequestId"],
            "inferenceId": "mine",
            "customAttributes": ["who=me"],
        },
        "eventVersion": "0",
    }
    picture = found[1][1]["captureData"]["endpointInput"]
    assert (picture["encoding"], picture["data"]) == ("BASE64", "/9g=")


def test_nothing_is_captured_of_none_in_a_hundred_nor_of_errors(stage: Stage, serve: Serve) -> None:
    unwatched, _ = serve(DataCaptureConfig=config(0))
    switched_off, _ = serve(DataCaptureConfig=config(EnableCapture=False))
    failing, _ = serve(lambda asked: Said(500, b"no"), DataCaptureConfig=config())
    invoke(stage, unwatched)
    invoke(stage, switched_off)
    refused(stage, failing)
    for name in (unwatched, switched_off, failing):
        assert captured(stage, name) == []


@pytest.mark.parametrize(
    ("mode", "sides"),
    [
        ("Input", {"endpointInput"}),
        ("Output", {"endpointOutput"}),
        ("InputAndOutput", {"endpointInput", "endpointOutput"}),
    ],
)
def test_only_the_sides_that_are_asked_for(mode: str, sides: set[str]) -> None:
    told = event(
        config(CaptureOptions=[{"CaptureMode": mode}]),
        Captured("e", "v", "id", b"in", "text/csv", b"out", "text/csv"),
        0.0,
    )
    assert set(told["captureData"]) == sides


@given(st.binary(max_size=200), st.sampled_from(["text/csv", "APPLICATION/JSON;a=b", "image/png"]))
def test_what_was_captured_can_be_read_again(data: bytes, media_type: str) -> None:
    line = json.dumps(event(config(), Captured("e", "v", "id", data, media_type, b"", ""), 0.0))
    side = json.loads(line)["captureData"]["endpointInput"]
    text = side["data"]
    read = base64.b64decode(text) if side["encoding"] == "BASE64" else text.encode()
    assert read == data
