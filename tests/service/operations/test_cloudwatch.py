"""CloudWatch metrics through boto3."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from clary.service.operations.metric_statistics import statistic
from clary.service.state.metric_data import Datum, Metric
from tests.service.operations.conftest import Bench

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
JOB = [{"Name": "TrainingJobName", "Value": "job"}]


@pytest.fixture
def cloudwatch(bench: Bench) -> Any:
    return bench.client("cloudwatch")


def put(cloudwatch: Any, name: str, *values: tuple[int, float], namespace: str = "Test") -> None:
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": JOB,
                "Timestamp": NOON + timedelta(seconds=second),
                "Value": value,
            }
            for second, value in values
        ],
    )


def points(cloudwatch: Any, name: str, **changes: Any) -> list[dict[str, Any]]:
    request = {
        "Namespace": "Test",
        "MetricName": name,
        "Dimensions": JOB,
        "StartTime": NOON,
        "EndTime": NOON + timedelta(minutes=10),
        "Period": 60,
        "Statistics": ["Average"],
        **changes,
    }
    wanted = {name: value for name, value in request.items() if value is not None}
    answer = cloudwatch.get_metric_statistics(**wanted)
    return sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])


def test_statistics_by_period(cloudwatch: Any) -> None:
    put(cloudwatch, "loss", (0, 4.0), (30, 2.0), (61, 1.0), (700, 9.0))
    both = points(
        cloudwatch, "loss", Statistics=["Average", "Minimum", "Maximum", "Sum", "SampleCount"]
    )
    assert [point["Timestamp"] for point in both] == [NOON, NOON + timedelta(minutes=1)]
    assert {**both[0], "Timestamp": None} == {
        "Timestamp": None,
        "Unit": "None",
        "Average": 3.0,
        "Minimum": 2.0,
        "Maximum": 4.0,
        "Sum": 6.0,
        "SampleCount": 2.0,
    }
    (whole,) = points(cloudwatch, "loss", Period=3600)
    assert whole["Average"] == pytest.approx(7 / 3)
    assert points(cloudwatch, "loss", Dimensions=[]) == []
    assert points(cloudwatch, "loss", Unit="Percent") == []
    late = NOON + timedelta(seconds=45)
    assert len(points(cloudwatch, "loss", StartTime=late)) == 2


def test_percentiles_and_summaries(cloudwatch: Any) -> None:
    cloudwatch.put_metric_data(
        Namespace="Test",
        MetricData=[
            {
                "MetricName": "latency",
                "Dimensions": JOB,
                "Timestamp": NOON,
                "Values": [1.0, 2.0, 3.0],
                "Counts": [1.0, 1.0, 2.0],
                "Unit": "Milliseconds",
            },
            {
                "MetricName": "summary",
                "Dimensions": JOB,
                "Timestamp": NOON,
                "StatisticValues": {"SampleCount": 4, "Sum": 8, "Minimum": 1, "Maximum": 5},
            },
        ],
    )
    (point,) = points(cloudwatch, "latency", Statistics=None, ExtendedStatistics=["p50", "p100"])
    assert point["ExtendedStatistics"] == {"p50": 2.5, "p100": 3.0}
    assert point["Unit"] == "Milliseconds"
    assert points(cloudwatch, "summary")[0]["Average"] == 2.0


def test_metric_data_in_pages(cloudwatch: Any) -> None:
    put(cloudwatch, "paged", *((60 * minute, float(minute)) for minute in range(5)))
    request = {
        "MetricDataQueries": [
            {
                "Id": "m1",
                "MetricStat": {
                    "Metric": {"Namespace": "Test", "MetricName": "paged", "Dimensions": JOB},
                    "Period": 60,
                    "Stat": "Average",
                },
            }
        ],
        "StartTime": NOON,
        "EndTime": NOON + timedelta(minutes=10),
        "ScanBy": "TimestampAscending",
        "MaxDatapoints": 2,
    }
    pages = list(cloudwatch.get_paginator("get_metric_data").paginate(**request))
    assert [page["MetricDataResults"][0]["Values"] for page in pages] == [
        [0.0, 1.0],
        [2.0, 3.0],
        [4.0],
    ]
    newest = cloudwatch.get_metric_data(**{**request, "ScanBy": "TimestampDescending"})
    assert newest["MetricDataResults"][0]["Values"] == [4.0, 3.0]
    request["MetricDataQueries"] = [{"Id": "e1", "Expression": "m1 * 2"}]
    with pytest.raises(ClientError, match="Expression in query 'e1' is not offered"):
        cloudwatch.get_metric_data(**request)


def test_metrics_are_listed_by_what_they_have(cloudwatch: Any) -> None:
    put(cloudwatch, "one", (0, 1.0), namespace="Listed")
    put(cloudwatch, "two", (0, 1.0), namespace="Listed")
    listed = cloudwatch.list_metrics(Namespace="Listed")["Metrics"]
    assert [metric["MetricName"] for metric in listed] == ["one", "two"]
    assert listed[0]["Dimensions"] == JOB

    def count(**asked: Any) -> int:
        return len(cloudwatch.list_metrics(Namespace="Listed", **asked)["Metrics"])

    assert count(MetricName="two") == 1
    assert count(Dimensions=[{"Name": "TrainingJobName"}]) == 2
    assert count(Dimensions=[{"Name": "TrainingJobName", "Value": "other"}]) == 0
    assert count(RecentlyActive="PT3H") == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Statistics": None}, "MissingParameter"),
        ({"ExtendedStatistics": ["p50"]}, "InvalidParameterCombination"),
        ({"Period": 45}, "InvalidParameterValue"),
        ({"EndTime": NOON}, "InvalidParameterValue"),
        ({"Period": 1, "EndTime": NOON + timedelta(days=1)}, "InvalidParameterCombination"),
        ({"Statistics": None, "ExtendedStatistics": ["tm90"]}, "InvalidParameterValue"),
    ],
)
def test_mistakes_have_cloudwatch_s_codes(
    cloudwatch: Any, changes: dict[str, Any], code: str
) -> None:
    put(cloudwatch, "mistaken", (0, 1.0))
    with pytest.raises(ClientError) as error:
        points(cloudwatch, "mistaken", **changes)
    assert error.value.response["Error"]["Code"] == code


values = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(values, st.integers(1, 3)), min_size=1, max_size=20))
def test_counted_values_are_what_they_count(counted: list[tuple[float, int]]) -> None:
    metric = Metric("Test", "any")
    packed = [Datum.of(metric, 0, value, count=count) for value, count in counted]
    single = [Datum.of(metric, 0, value) for value, count in counted for _ in range(count)]
    for name in ("SampleCount", "Minimum", "Maximum", "p0", "p37.5", "p100"):
        assert statistic(packed, name) == pytest.approx(statistic(single, name))
    assert statistic(packed, "p0") == statistic(packed, "Minimum")
    assert statistic(packed, "p100") == statistic(packed, "Maximum")
    average = statistic(packed, "Average")
    assert average is not None
    assert average == pytest.approx(sum(d.sum for d in single) / len(single), abs=1e-6)


def test_step_metrics_by_iteration_and_time(bench: Bench) -> None:
    metrics = bench.client("sagemaker-metrics")
    metrics.batch_put_metrics(
        TrialComponentName="job-aws-training-job",
        MetricData=[
            {
                "MetricName": "loss",
                "Timestamp": NOON + timedelta(seconds=20 * step),
                "Step": step // 2,
                "Value": float(step),
            }
            for step in range(6)
        ],
    )
    query = {
        "MetricName": "loss",
        "ResourceArn": bench.office.arn("experiment-trial-component/job-aws-training-job"),
        "MetricStat": "Avg",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
    }
    by_time = {**query, "Period": "OneMinute", "XAxisType": "Timestamp", "MetricStat": "Last"}
    mixed = {**query, "Period": "OneMinute"}
    first, second, third = metrics.batch_get_metrics(MetricQueries=[query, by_time, mixed])[
        "MetricQueryResults"
    ]
    assert (first["XAxisValues"], first["MetricValues"]) == ([0, 1, 2], [0.5, 2.5, 4.5])
    noon = int(NOON.timestamp())
    assert (second["XAxisValues"], second["MetricValues"]) == ([noon, noon + 60], [2.0, 5.0])
    assert third["Status"] == "ValidationError"
