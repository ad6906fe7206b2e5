from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import StorageError
from clary.service.invocations.metrics import EndpointMetrics, Outcome, _rounded
from tests.service.invocations.conftest import Stage, one_variant
from tests.service.invocations.test_invoking import Serve, invoke, refused
from tests.service.invocations.tiny_replica import Asked, Said


def statistics(stage: Stage, endpoint: str, metric: str, *names: str) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.timezone.utc)
    percentiles = [name for name in names if name.startswith("p")]
    answer = stage.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(hours=1),
        Period=7200,
        **({"ExtendedStatistics": percentiles} if percentiles else {"Statistics": list(names)}),
    )
    points = answer["Datapoints"]
    assert len(points) == 1, points
    found: dict[str, Any] = points[0].get("ExtendedStatistics") or points[0]
    return found


def test_invocations_and_their_errors_are_counted(stage: Stage, serve: Serve) -> None:
    def answer(asked: Asked) -> Said:
        return Said(int(asked.body), b"")

    name, there = serve(answer)
    stage.replica(name, "AllTraffic", there.port)
    for status in (b"200", b"200", b"200", b"400", b"404", b"500"):
        if status == b"200":
            invoke(stage, name, status)
        else:
            refused(stage, name, status)
    assert statistics(stage, name, "Invocations", "Sum")["Sum"] == 6
    assert statistics(stage, name, "InvocationsPerInstance", "Sum")["Sum"] == 3
    errors = statistics(stage, name, "Invocation4XXErrors", "Sum", "Average")
    assert (errors["Sum"], errors["Average"]) == (2, pytest.approx(1 / 3))
    assert statistics(stage, name, "Invocation5XXErrors", "Sum")["Sum"] == 1
    assert statistics(stage, name, "InvocationModelErrors", "Sum")["Sum"] == 3


def test_latencies_have_percentiles(stage: Stage, serve: Serve) -> None:
    def answer(asked: Asked) -> Said:
        time.sleep(float(asked.body))
        return Said()

    name, _ = serve(answer)
    for seconds in (b"0", b"0", b"0", b"0.4"):
        invoke(stage, name, seconds)
    latency = statistics(stage, name, "ModelLatency", "Maximum", "SampleCount")
    assert latency["SampleCount"] == 4
    assert latency["Maximum"] >= 399_000
    assert statistics(stage, name, "ModelLatency", "p100")["p100"] == latency["Maximum"]
    overhead = statistics(stage, name, "OverheadLatency", "Minimum")
    assert overhead["Minimum"] > 0


def test_what_finds_no_room_is_counted(stage: Stage, serve: Serve) -> None:
    name, _ = serve(lambda asked: Said(503, b"", {"x-clary-not-accepted": "full"}))
    refused(stage, name)
    assert statistics(stage, name, "Invocation5XXErrors", "Sum")["Sum"] == 1


def known(stage: Stage, endpoint: str) -> set[tuple[str, str]]:
    return {
        (one.name, one.dimensions["VariantName"])
        for _, one in stage.state.metrics.known()
        if one.dimensions.get("EndpointName") == endpoint
    }


def test_variants_have_metrics_of_their_own(stage: Stage) -> None:
    name = stage.endpoint([one_variant("one"), one_variant("two")], {})
    number = stage.state.endpoints.find(name).number
    metrics = EndpointMetrics(stage.state)
    for variant in ("one", "two"):
        metrics.record(number, name, variant, Outcome(200, 1234, 56, 1))
    metrics.store()
    metrics.store()
    assert ("ModelLatency", "one") in known(stage, name)
    assert ("ModelLatency", "two") in known(stage, name)
    assert len(known(stage, name)) == 14


def test_an_endpoint_that_is_gone_leaves_no_metrics(stage: Stage, serve: Serve) -> None:
    name, _ = serve()
    invoke(stage, name)
    stage.state.forget_endpoint(name, f"/aws/sagemaker/Endpoints/{name}")
    stage.invocations.metrics.store()
    assert not known(stage, name)


@pytest.mark.parametrize("kept_s", [900, -1])
def test_what_a_database_does_not_take_is_kept_for_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kept_s: int
) -> None:
    monkeypatch.setattr("clary.service.invocations.metrics.KEPT_S", kept_s)
    name = stage.endpoint([one_variant("one")], {})
    number = stage.state.endpoints.find(name).number
    metrics = EndpointMetrics(stage.state)

    def full_disk(data: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(stage.state.metrics, "add_of_endpoints", full_disk)
        metrics.record(number, name, "one", Outcome(200, 1, 1, 1))
        metrics.store()
    metrics.store()
    assert bool(known(stage, name)) == (kept_s > 0)


@given(st.floats(1, 1e9))
def test_values_keep_three_digits(value: float) -> None:
    assert _rounded(value) == pytest.approx(value, rel=0.005)
