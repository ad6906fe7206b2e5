"""Metrics in a log, whatever their definitions are like."""

from __future__ import annotations

import pytest

from clary.formats.log_file import LogEvent
from clary.service.supervisor.metric_definitions import MetricDefinitions


def definitions(**patterns: str) -> MetricDefinitions:
    found = [{"Name": name, "Regex": pattern} for name, pattern in patterns.items()]
    return MetricDefinitions({"AlgorithmSpecification": {"MetricDefinitions": found}})


def events(*lines: str) -> list[LogEvent]:
    return [LogEvent(number, line, 0, 0) for number, line in enumerate(lines)]


def test_definitions_that_backtrack_are_given_up_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A single search of either takes milliseconds: it is their sum that is too much.
    bad = {f"bad{number}": rf"((x|xx)+)+\2{{2}}y{number}(.)" for number in range(2)}
    tried = definitions(**bad, loss=r"loss=(\S+)")
    lines = [f"{'x' * 13} loss={number}" for number in range(300)]
    found = tried.matches(events(*lines))
    assert [match.value for match in found] == list(range(300))
    given_up = [message.split("'")[1] for message in caplog.messages if "given up" in message]
    assert sorted(given_up) == sorted(bad)
    assert len(tried.matches(events(*lines))) == 300
    assert len(caplog.messages) == len(bad)


def test_honest_definitions_go_on_over_a_long_log() -> None:
    tried = definitions(loss=r"loss=(\S+)", accuracy=r".*accuracy: ([0-9.]+)")
    line = "step 3 loss=0.25 accuracy: 0.5 " + "x" * 1000
    assert len(tried.matches(events(*[line] * 20_000))) == 40_000
