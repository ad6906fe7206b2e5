"""CloudWatch's metrics of endpoints: gathered in memory, stored now and then.

Names, dimensions and units are AWS's. A time is kept to three digits, with how often it was seen,
so that percentiles can be taken. What was gathered in the last seconds is lost with a kill, and
with its endpoint.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import cast

from clary.errors import ClaryError
from clary.service.state.metric_data import Datum, Metric
from clary.service.state.state import State

NAMESPACE = "AWS/SageMaker"
STORED_EVERY_S = 10.0
# Of a database that cannot be written no more is waited for.
KEPT_S = 900
_DIGITS = 3
# Endpoint's number and name, variant, metric, unit and second.
_Key = tuple[int, str, str, str, str, int]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended.

    `status` is the model's HTTP status: 0 where it gave none. `model_us` is from the request to
    the container to its answer, `overhead_us` the rest of what the service took, both in
    microseconds; `instances` is how many the variant has.
    """

    status: int
    model_us: int | None
    overhead_us: int
    instances: int


class EndpointMetrics:
    """Gathers the outcomes of invocations and stores them. Any thread may call."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        # How often each value was seen.
        self._seen: dict[_Key, Counter[float]] = {}

    def record(self, number: int, endpoint: str, variant: str, outcome: Outcome) -> None:
        """Count an invocation.

        Args:
            number: the endpoint's, which tells it from one that is called so later.
            endpoint: its name.
            variant: that was asked.
            outcome: what came of it.
        """
        second = int(time.time())
        status = outcome.status
        counts = {
            "Invocations": 1.0,
            "InvocationsPerInstance": _rounded(1 / max(1, outcome.instances)),
            "Invocation4XXErrors": float(400 <= status < 500),
            "Invocation5XXErrors": float(status >= 500 or status == 0),
            "InvocationModelErrors": float(not 200 <= status < 400),
        }
        times = {"OverheadLatency": _rounded(outcome.overhead_us)}
        if outcome.model_us is not None:
            times["ModelLatency"] = _rounded(outcome.model_us)
        with self._lock:
            for values, unit in ((counts, "None"), (times, "Microseconds")):
                for name, value in values.items():
                    key = number, endpoint, variant, name, unit, second
                    self._seen.setdefault(key, Counter())[value] += 1

    def store(self) -> None:
        """Store what was gathered. A database that cannot be written is tried again next time."""
        with self._storing:
            with self._lock:
                seen, self._seen = self._seen, {}
            if not seen:
                return
            try:
                self._state.metrics.add_of_endpoints(_data(seen))
            except ClaryError as error:
                logger.warning("metrics of endpoints are not stored yet: %s", error)
                self._take_back(seen)

    def _take_back(self, seen: dict[_Key, Counter[float]]) -> None:
        oldest = int(time.time()) - KEPT_S
        with self._lock:
            for key, counter in seen.items():
                if key[-1] >= oldest:
                    self._seen.setdefault(key, Counter()).update(counter)


def _data(seen: dict[_Key, Counter[float]]) -> dict[int, list[Datum]]:
    """One datum for each value of ten seconds, by the endpoints' numbers."""
    joined: dict[_Key, Counter[float]] = {}
    for (*series, second), counter in seen.items():
        key = cast(_Key, (*series, second // 10 * 10))
        joined.setdefault(key, Counter()).update(counter)
    data: dict[int, list[Datum]] = {}
    for (number, endpoint, variant, name, unit, second), counter in joined.items():
        metric = Metric(NAMESPACE, name, {"EndpointName": endpoint, "VariantName": variant})
        data.setdefault(number, []).extend(
            Datum.of(metric, second * 1000, value, unit, count) for value, count in counter.items()
        )
    return data


def _rounded(value: float) -> float:
    if value <= 0:
        return 0.0
    return round(value, _DIGITS - 1 - math.floor(math.log10(value)))
