"""CloudWatch: metrics are put, listed and summarised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import Fault
from clary.service.office import Handler, Office
from clary.service.operations.metric_statistics import periods, statistic
from clary.service.operations.pages import page, read_token, write_token
from clary.service.operations.times import milliseconds, timestamp
from clary.service.state.metric_data import Datum, Metric

LIST_SIZE = 500
STATISTICS_LIMIT = 1_440
DATAPOINT_LIMIT = 100_800
RECENT_MS = 3 * 3_600_000


def put_metric_data(office: Office, call: Call) -> Mapping[str, Any]:
    """Store values."""
    if "EntityMetricData" in call.parameters:
        raise _invalid("EntityMetricData is not offered by Clary: give MetricData.")
    if not call.parameters.get("MetricData"):
        raise Fault("MissingParameter", "The parameter MetricData is required.")
    namespace = call.parameters["Namespace"]
    data: list[Datum] = []
    for datum in call.parameters["MetricData"]:
        metric = Metric(namespace, datum["MetricName"], _dimensions(datum))
        data.extend(_data(metric, datum))
    office.state.metrics.add(data)
    return {}


def list_metrics(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the metrics that have values."""
    office.invocations.metrics.store()
    asked = call.parameters
    since_ms = clock.now_ms() - RECENT_MS if asked.get("RecentlyActive") else 0
    known = [
        (number, metric)
        for number, metric in office.state.metrics.known(
            asked.get("Namespace"), asked.get("MetricName"), since_ms
        )
        if all(
            metric.dimensions.get(wanted["Name"]) == wanted.get("Value")
            if "Value" in wanted
            else wanted["Name"] in metric.dimensions
            for wanted in asked.get("Dimensions", ())
        )
    ]
    try:
        chosen, token = page(known, lambda item: [item[0]], asked.get("NextToken"), LIST_SIZE)
    except ValueError as error:
        raise _invalid(f"Invalid nextToken: {error}.") from error
    answer: dict[str, Any] = {
        "Metrics": [
            {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [
                    {"Name": name, "Value": value} for name, value in metric.dimensions.items()
                ],
            }
            for _, metric in chosen
        ]
    }
    if token is not None:
        answer["NextToken"] = token
    return answer


def get_metric_statistics(office: Office, call: Call) -> Mapping[str, Any]:
    """Summarise one metric, period by period."""
    office.invocations.metrics.store()
    asked = call.parameters
    plain, extended = asked.get("Statistics", ()), asked.get("ExtendedStatistics", ())
    if not plain and not extended:
        raise Fault("MissingParameter", "Must specify either Statistics or ExtendedStatistics.")
    if plain and extended:
        raise Fault(
            "InvalidParameterCombination", "Statistics and ExtendedStatistics exclude each other."
        )
    start_ms, end_ms = _span(asked)
    period_s = _period(asked["Period"])
    if (end_ms - start_ms) / 1000 / period_s > STATISTICS_LIMIT:
        raise Fault(
            "InvalidParameterCombination",
            "You have requested up to "
            f"{math.ceil((end_ms - start_ms) / 1000 / period_s)} datapoints, which exceeds the "
            f"limit of {STATISTICS_LIMIT}. You may reduce the datapoints requested by increasing "
            "Period, or decreasing the time range.",
        )
    metric = Metric(asked["Namespace"], asked["MetricName"], _dimensions(asked))
    values = office.state.metrics.values(metric, start_ms, end_ms, asked.get("Unit"))
    points = []
    for begin_ms, data in periods(values, start_ms, period_s * 1000).items():
        point: dict[str, Any] = {"Timestamp": timestamp(begin_ms), "Unit": data[0].unit}
        point.update(_computed(data, plain))
        if extended:
            point["ExtendedStatistics"] = _computed(data, extended)
        points.append(point)
    return {"Label": metric.name, "Datapoints": points}


def get_metric_data(office: Office, call: Call) -> Mapping[str, Any]:
    """Summarise several metrics, each period by period."""
    office.invocations.metrics.store()
    asked = call.parameters
    start_ms, end_ms = _span(asked)
    newest_first = asked.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    limit = min(asked.get("MaxDatapoints", DATAPOINT_LIMIT), DATAPOINT_LIMIT)
    queries = asked["MetricDataQueries"]
    ids = [query["Id"] for query in queries]
    if len(set(ids)) < len(ids):
        raise _invalid("The value of Id must be unique among MetricDataQueries.", "ValidationError")
    begin = _position(asked.get("NextToken"))
    points: list[tuple[int, int, float]] = []
    for place, query in enumerate(queries):
        series = _series(office, query, start_ms, end_ms)
        points.extend(
            (place, at_ms, value) for at_ms, value in (reversed(series) if newest_first else series)
        )
    chosen = points[begin : begin + limit]
    results = [
        {
            "Id": query["Id"],
            "Label": query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
            "Timestamps": [timestamp(at_ms) for at, at_ms, _ in chosen if at == place],
            "Values": [value for at, _, value in chosen if at == place],
            "StatusCode": "Complete",
        }
        for place, query in enumerate(queries)
        if query.get("ReturnData", True)
    ]
    answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    if begin + limit < len(points):
        answer["NextToken"] = write_token(begin + limit)
    return answer


def _series(
    office: Office, query: Mapping[str, Any], start_ms: int, end_ms: int
) -> list[tuple[int, float]]:
    if "MetricStat" not in query:
        raise _invalid(
            f"Expression in query {query['Id']!r} is not offered by Clary: give MetricStat.",
            "ValidationError",
        )
    if not query.get("ReturnData", True):
        return []
    asked = query["MetricStat"]
    metric = Metric(
        asked["Metric"]["Namespace"], asked["Metric"]["MetricName"], _dimensions(asked["Metric"])
    )
    values = office.state.metrics.values(metric, start_ms, end_ms, asked.get("Unit"))
    grouped = periods(values, start_ms, _period(asked["Period"]) * 1000)
    found = (
        (begin_ms, _computed(data, [asked["Stat"]]).get(asked["Stat"]))
        for begin_ms, data in grouped.items()
    )
    return [(begin_ms, value) for begin_ms, value in found if value is not None]


def _computed(data: Sequence[Datum], names: Sequence[str]) -> dict[str, float]:
    try:
        found = {name: statistic(data, name) for name in names}
    except ValueError as error:
        raise _invalid(f"The statistic {error}.") from error
    return {name: value for name, value in found.items() if value is not None}


def _data(metric: Metric, datum: Mapping[str, Any]) -> Iterator[Datum]:
    at_ms = milliseconds(datum["Timestamp"]) if "Timestamp" in datum else clock.now_ms()
    unit = datum.get("Unit", "None")
    forms = [form for form in ("Value", "Values", "StatisticValues") if form in datum]
    if len(forms) != 1:
        raise Fault(
            "InvalidParameterCombination",
            f"Exactly one of Value, Values and StatisticValues must be set for {metric.name!r}.",
        )
    if forms == ["StatisticValues"]:
        found = datum["StatisticValues"]
        numbers = (found["SampleCount"], found["Sum"], found["Minimum"], found["Maximum"])
        _finite(metric, numbers)
        yield Datum(metric, at_ms, *numbers, unit)
        return
    values = datum.get("Values", [datum.get("Value")])
    counts = datum.get("Counts", [1.0] * len(values))
    if len(counts) != len(values):
        raise _invalid(f"Counts and Values of {metric.name!r} must be of one length.")
    _finite(metric, [*values, *counts])
    for value, count in zip(values, counts, strict=True):
        yield Datum.of(metric, at_ms, value, unit, count)


def _finite(metric: Metric, numbers: Sequence[float]) -> None:
    for number in numbers:
        if not math.isfinite(number):
            raise _invalid(f"The value {number} for metric {metric.name!r} is not a number.")


def _dimensions(asked: Mapping[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in asked.get("Dimensions", ())}


def _span(asked: Mapping[str, Any]) -> tuple[int, int]:
    # CloudWatch drops the seconds of a start.
    start_ms = milliseconds(asked["StartTime"]) // 60_000 * 60_000
    end_ms = milliseconds(asked["EndTime"])
    if start_ms >= end_ms:
        raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
    return start_ms, end_ms


def _period(seconds: int) -> int:
    if seconds not in {1, 5, 10, 20, 30} and seconds % 60:
        raise _invalid(
            f"The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60, not {seconds}."
        )
    return seconds


def _position(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(read_token(token))
    except (TypeError, ValueError) as error:
        raise _invalid(
            "The token is not one that this service gave.", "InvalidNextToken"
        ) from error


def _invalid(message: str, code: str = "InvalidParameterValue") -> Fault:
    return Fault(code, message)


OPERATIONS: dict[str, Handler] = {
    "PutMetricData": put_metric_data,
    "ListMetrics": list_metrics,
    "GetMetricStatistics": get_metric_statistics,
    "GetMetricData": get_metric_data,
}
