"""SageMaker Metrics: values by step, written and read in batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.times import milliseconds
from clary.service.state.step_metrics import StepValue

_PERIODS_S = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Min": min,
    "Max": max,
    "Avg": fmean,
    "Count": len,
    "StdDev": pstdev,
    "Last": lambda values: values[-1],
}


def batch_put_metrics(office: Office, call: Call) -> Mapping[str, Any]:
    """Store the values of a trial component."""
    name = call.parameters["TrialComponentName"]
    office.state.step_metrics.add(
        office.arn(f"experiment-trial-component/{name}"),
        [
            StepValue(
                datum["MetricName"],
                milliseconds(datum["Timestamp"]),
                datum.get("Step"),
                datum["Value"],
            )
            for datum in call.parameters["MetricData"]
        ],
    )
    return {}


def batch_get_metrics(office: Office, call: Call) -> Mapping[str, Any]:
    """Summarise the values of several metrics, each by step or by time."""
    return {
        "MetricQueryResults": [_answer(office, query) for query in call.parameters["MetricQueries"]]
    }


def _answer(office: Office, query: Mapping[str, Any]) -> Mapping[str, Any]:
    by_step = query["XAxisType"] == "IterationNumber"
    if by_step != (query["Period"] == "IterationNumber"):
        return {
            "Status": "ValidationError",
            "Message": "Period IterationNumber and XAxisType IterationNumber go together.",
            "XAxisValues": [],
            "MetricValues": [],
        }
    values = office.state.step_metrics.values(query["ResourceArn"], query["MetricName"])
    grouped: dict[int, list[float]] = defaultdict(list)
    for value in values:
        place = value.step if by_step else value.timestamp_ms // 1000
        if place is None or not query.get("Start", place) <= place <= query.get("End", place):
            continue
        if not by_step:
            place -= place % _PERIODS_S[query["Period"]]
        grouped[place].append(value.value)
    summarise = _STATISTICS[query["MetricStat"]]
    places = sorted(grouped)
    return {
        "Status": "Complete",
        "XAxisValues": places,
        "MetricValues": [float(summarise(grouped[place])) for place in places],
    }


OPERATIONS: dict[str, Handler] = {
    "BatchPutMetrics": batch_put_metrics,
    "BatchGetMetrics": batch_get_metrics,
}
