"""The section of the report about what was watched: findings, rules and figures by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clary.errors import ClaryError
from clary.formats.finding_sentences import JUDGING, FindingGroup, grouped, verdict
from clary.formats.findings import RuleStatus, read_findings
from clary.formats.job_directory import JobDirectory
from clary.formats.tensor_curves import tensor_names
from clary.formats.tensor_log import TensorLog
from clary.formats.tensor_log.entries import Statistics
from clary.jobs.pages.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from clary.jobs.report.step_charts import StepChart, step_charts

FRAME = {
    "width": WIDTH,
    "height": HEIGHT,
    "left": LEFT,
    "right": WIDTH - RIGHT,
    "top": TOP,
    "floor": HEIGHT - BOTTOM,
}


@dataclass(frozen=True)
class TensorRow:
    """The last statistics of a tensor."""

    name: str
    step: int
    last: Statistics


@dataclass(frozen=True)
class Watching:
    """What the section is made of; `missing` says why there is nothing."""

    missing: str | None
    verdict: str
    judging: bool
    findings: tuple[FindingGroup, ...]
    rules: tuple[RuleStatus, ...]
    charts: tuple[StepChart, ...]
    tensors: tuple[TensorRow, ...]
    failures: tuple[str, ...]


def look_at(directory: JobDirectory) -> Watching:
    """Read what was watched of a job."""
    try:
        return _read(directory)
    except ClaryError as error:
        return Watching(str(error), "", False, (), (), (), (), ())


def section_values(directory: JobDirectory) -> Mapping[str, Any]:
    """What the section's template needs."""
    watching = look_at(directory)
    return {
        "watching": watching,
        "told": {one.rule for group in watching.findings for one in group.findings},
        "name": directory.root.name,
        "frame": FRAME,
        "now": f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
    }


def _read(directory: JobDirectory) -> Watching:
    folder = directory.root / "rules"
    places = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    statuses = [status for place in places if (status := RuleStatus.read(place)) is not None]
    tensors = directory.root / "output" / "tensors"
    log = TensorLog(tensors) if tensors.is_dir() else None
    missing = None
    if log is None and not statuses:
        missing = "the training was not watched, or what was saved of it is gone"
    return Watching(
        missing=missing,
        verdict=verdict([status.status for status in statuses]) if statuses else "",
        judging=any(status.status in JUDGING for status in statuses),
        findings=tuple(grouped(one for place in places for one in read_findings(place))),
        rules=tuple(statuses),
        charts=() if log is None else step_charts(log),
        tensors=() if log is None else tuple(_rows(log)),
        failures=() if log is None else log.failures,
    )


def _rows(log: TensorLog) -> list[TensorRow]:
    rows = []
    for name in tensor_names(log, ".*"):
        measured = log.statistics(name)
        if measured:
            step = max(measured)
            rows.append(TensorRow(name, step, measured[step]))
    return rows
