"""The metrics that a job's definitions find in its log."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import regex

from clary.formats.log_file import LogEvent

logger = logging.getLogger(__name__)

# A pattern that backtracks without end must not hold up the service.
_TIMEOUT_S = 0.5


class Match(NamedTuple):
    """A value that a definition found in a line."""

    name: str
    value: float
    timestamp_ms: int


class MetricDefinitions:
    """Compiled metric definitions of one job. Owned by its follower; one thread at a time."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Compile MetricDefinitions of a CreateTrainingJob, which were checked when it came."""
        self._patterns = {
            definition["Name"]: compile_pattern(definition["Regex"])
            for definition in request["AlgorithmSpecification"].get("MetricDefinitions") or ()
        }

    def matches(self, events: Iterable[LogEvent]) -> Sequence[Match]:
        """What the definitions find, in the order of the lines.

        The first group gives the number. What is no finite number, `nan` among them, is none.
        """
        found = []
        for event in events:
            for name in list(self._patterns):
                value = self._value(name, event.message)
                if value is not None:
                    found.append(Match(name, value, event.timestamp_ms))
        return found

    def _value(self, name: str, line: str) -> float | None:
        try:
            match = self._patterns[name].search(line, timeout=_TIMEOUT_S)
        except TimeoutError:
            logger.warning("Metric %r is given up: its pattern takes too long on a line", name)
            del self._patterns[name]
            return None
        if match is None or not match.re.groups:
            return None
        try:
            value = float(match.group(1) or "")
        except ValueError:
            return None
        return value if math.isfinite(value) else None


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """A definition's pattern.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(str(error)) from error
