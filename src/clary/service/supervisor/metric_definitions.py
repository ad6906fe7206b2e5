"""The metrics that a job's definitions find in its log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clary.formats.log_file import LogEvent
from clary.formats.metric_pattern import compile_pattern, matched_number

if TYPE_CHECKING:
    import regex

logger = logging.getLogger(__name__)

# A pattern that backtracks without end must not hold up the service: what its searches take
# beyond what honest ones do is counted over the whole job, and forgiven slowly.
_BUDGET_S = 0.5
_FORGIVEN_S_PER_S = 0.01
_FAIR_S = 50e-6
_FAIR_S_PER_CHARACTER = 50e-9


class Match(NamedTuple):
    """A value that a definition found in a line; it may be NaN or infinite."""

    name: str
    value: float
    timestamp_ms: int


class MetricDefinitions:
    """Compiled metric definitions of one job. Owned by its follower; one thread at a time."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Compile MetricDefinitions of a CreateTrainingJob, which were checked when it came."""
        self._job = request.get("TrainingJobName")
        self._patterns = {
            definition["Name"]: compile_pattern(definition["Regex"])
            for definition in request["AlgorithmSpecification"].get("MetricDefinitions") or ()
        }
        self._left_s = dict.fromkeys(self._patterns, _BUDGET_S)
        self._forgiven_at = time.monotonic()

    def matches(self, events: Iterable[LogEvent]) -> Sequence[Match]:
        """What the definitions find, in the order of the lines."""
        self._forgive()
        found = []
        for event in events:
            for name in list(self._patterns):
                value = self._value(name, event.message)
                if value is not None:
                    found.append(Match(name, value, event.timestamp_ms))
        return found

    def _value(self, name: str, line: str) -> float | None:
        return matched_number(self._search(name, line))

    def _search(self, name: str, line: str) -> regex.Match[str] | None:
        begun = time.thread_time()
        try:
            match = self._patterns[name].search(line, timeout=self._left_s[name])
        except TimeoutError:
            self._give_up(name)
            return None
        fair_s = _FAIR_S + _FAIR_S_PER_CHARACTER * len(line)
        excess_s = time.thread_time() - begun - fair_s
        if excess_s > 0:
            self._left_s[name] -= excess_s
            if self._left_s[name] <= 0:
                self._give_up(name)
        return match

    def _forgive(self) -> None:
        now = time.monotonic()
        forgiven_s = (now - self._forgiven_at) * _FORGIVEN_S_PER_S
        self._forgiven_at = now
        for name in self._patterns:
            self._left_s[name] = min(_BUDGET_S, self._left_s[name] + forgiven_s)

    def _give_up(self, name: str) -> None:
        logger.warning(
            "Metric %r of training job %s is given up: searching its log for %r takes too long",
            name,
            self._job,
            self._patterns.pop(name).pattern,
        )
