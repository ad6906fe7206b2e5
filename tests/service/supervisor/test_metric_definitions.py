"""Metrics in a log, whatever their definitions are like."""

from __future__ import annotations

import time

from clary.formats.log_file import LogEvent
from clary.service.supervisor.metric_definitions import MetricDefinitions


def definitions(**patterns: str) -> MetricDefinitions:
    found = [{"Name": name, "Regex": pattern} for name, pattern in patterns.items()]
    return MetricDefinitions({"AlgorithmSpecification": {"MetricDefinitions": found}})


def events(*lines: str) -> list[LogEvent]:
    return [LogEvent(number, line, 0, 0) for number, line in enumerate(lines)]


def test_definitions_that_backtrack_cost_a_bounded_time_over_all_lines() -> None:
    bad = {f"bad{number}": rf"(x+x+)+y{number}(.)" for number in range(4)}
    tried = definitions(**bad, loss=r"loss=(\S+)")
    lines = [f"{'x' * 19} loss={number}" for number in range(300)]
    begun = time.thread_time()
    found = tried.matches(events(*lines))
    assert time.thread_time() - begun < 5
    assert [match.value for match in found] == list(range(300))
    begun = time.thread_time()
    assert len(tried.matches(events(*lines))) == 300
    assert time.thread_time() - begun < 0.5


def test_honest_definitions_go_on_over_a_long_log() -> None:
    tried = definitions(loss=r"loss=(\S+)", accuracy=r".*accuracy: ([0-9.]+)")
    line = "step 3 loss=0.25 accuracy: 0.5 " + "x" * 1000
    assert len(tried.matches(events(*[line] * 20_000))) == 40_000
