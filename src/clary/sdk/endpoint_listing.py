"""The endpoints of an account, and how they fared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from clary.sdk.endpoint import EndpointDescription, ServedModel
from clary.sdk.session import Session, spoken_faults

NAMESPACE = "AWS/SageMaker"
WINDOW_S = 3600
# GetMetricData takes 500 queries at once.
_VARIANTS_AT_ONCE = 80
_STATISTICS = (
    ("requests", "Invocations", "Sum"),
    ("client_errors", "Invocation4XXErrors", "Sum"),
    ("server_errors", "Invocation5XXErrors", "Sum"),
    ("p50", "ModelLatency", "p50"),
    ("p99", "ModelLatency", "p99"),
    ("samples", "ModelLatency", "SampleCount"),
)


@dataclass(frozen=True)
class Figures:
    """How a variant fared in the last hour.

    `requests` are the answered ones, errors included; `p50_ms` and `p99_ms` are how long the model
    took, in milliseconds, NaN where it was not asked.
    """

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    p50_ms: float = math.nan
    p99_ms: float = math.nan

    @property
    def errors(self) -> int:
        """Requests that were not answered with what was asked for."""
        return self.client_errors + self.server_errors


def list_endpoints(
    session: Session, *, name_contains: str | None = None
) -> Iterator[EndpointDescription]:
    """All endpoints, or those with a text in their names, the latest first.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    client = session.client("sagemaker")
    filters = {} if name_contains is None else {"NameContains": name_contains}
    with spoken_faults():
        pages = client.get_paginator("list_endpoints").paginate(
            SortBy="CreationTime", SortOrder="Descending", **filters
        )
        names = [found["EndpointName"] for page in pages for found in page["Endpoints"]]
    for name in names:
        with spoken_faults():
            yield EndpointDescription(client.describe_endpoint(EndpointName=name))


def figures(
    session: Session, endpoints: Sequence[EndpointDescription]
) -> dict[tuple[str, str], Figures]:
    """How the variants of endpoints fared in the last hour, by endpoint and variant.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    variants = [(found.name, variant.name) for found in endpoints for variant in found.variants]
    known: dict[tuple[str, str], Figures] = {}
    for start in range(0, len(variants), _VARIANTS_AT_ONCE):
        part = variants[start : start + _VARIANTS_AT_ONCE]
        values = _values(session, part)
        for number, variant in enumerate(part):
            known[variant] = _figures(values, number)
    return known


def word_for(model: ServedModel) -> str:
    """What a model is called: the job or the folder that its archive lies in, else its name."""
    parts = [part for part in model.data.removeprefix("s3://").split("/")[1:] if part]
    named = [part for part in parts if part not in {"output", "model.tar.gz"}]
    return named[-1] if named else model.name


def _values(session: Session, variants: Sequence[tuple[str, str]]) -> dict[str, dict[Any, float]]:
    """The points of all queries, by query and time."""
    now = datetime.now(tz=timezone.utc)
    queries = [
        {
            "Id": f"{key}{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": endpoint},
                        {"Name": "VariantName", "Value": variant},
                    ],
                },
                "Period": WINDOW_S,
                "Stat": statistic,
            },
        }
        for number, (endpoint, variant) in enumerate(variants)
        for key, metric, statistic in _STATISTICS
    ]
    found: dict[str, dict[Any, float]] = {}
    with spoken_faults():
        pages = session.client("cloudwatch").get_paginator("get_metric_data")
        # What is asked of AWS begins with a period, so that the last hour may lie in two of them.
        begin, end = now - timedelta(seconds=WINDOW_S), now + timedelta(seconds=1)
        for page in pages.paginate(MetricDataQueries=queries, StartTime=begin, EndTime=end):
            for result in page["MetricDataResults"]:
                points = zip(result["Timestamps"], result["Values"], strict=True)
                found.setdefault(result["Id"], {}).update(points)
    return found


def _figures(values: dict[str, dict[Any, float]], number: int) -> Figures:
    def total(key: str) -> int:
        return round(sum(values.get(f"{key}{number}", {}).values()))

    # Percentiles of two periods cannot be added: those of the fuller one are taken.
    samples = values.get(f"samples{number}", {})
    fullest = max(samples, key=lambda at: samples[at], default=None)

    def milliseconds(key: str) -> float:
        return values.get(f"{key}{number}", {}).get(fullest, math.nan) / 1000

    return Figures(
        requests=total("requests"),
        client_errors=total("client_errors"),
        server_errors=total("server_errors"),
        p50_ms=milliseconds("p50"),
        p99_ms=milliseconds("p99"),
    )
