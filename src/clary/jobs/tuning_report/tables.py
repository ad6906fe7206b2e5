"""Ranges, trials and failures in rows, ready for the templates."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clary.formats.tuning_record import CategoricalRange, ParameterRange, TrialRecord, Value
from clary.jobs.pages.wording import listed
from clary.jobs.tuning_report.axes import Axis, number
from clary.jobs.tuning_report.findings import Findings

_UNQUOTED = re.compile(r'^"(.*)"$', re.DOTALL)
_STATUS = {
    "InProgress": "running",
    "Completed": "completed",
    "Stopping": "stopping",
    "Stopped": "stopped",
    "Failed": "failed",
}
_SCALES = {
    "Linear": "linear",
    "Logarithmic": "logarithmic",
    "ReverseLogarithmic": "logarithmic towards 1",
}


@dataclass(frozen=True)
class RangeRow:
    """A tuned parameter: what was tried, on which scale, and the best value.

    `importance` is its share in what made trials differ; None where that is not known.
    """

    name: str
    tried: str
    scale: str
    best: str
    importance: float | None


@dataclass(frozen=True)
class Cell:
    """A text, and the figure that a table sorts it by; the empty text sorts last."""

    text: str
    sorts_by: str


@dataclass(frozen=True)
class TrialRow:
    """A trial; `tone` is how good it is in percent, None where it has no value."""

    number: int
    job: str
    status: str
    best: bool
    value: Cell
    tone: int | None
    parameters: tuple[Cell, ...]
    seconds: float | None


@dataclass(frozen=True)
class FailureRow:
    """Trials that failed for the same reason."""

    count: int
    trials: str
    reason: str


def range_rows(findings: Findings) -> tuple[RangeRow, ...]:
    """A row for each parameter, the most important first."""
    best = findings.best.trial.parameters if findings.best else {}
    return tuple(
        RangeRow(
            name=axis.name,
            tried=_tried(axis.tuned),
            scale=_SCALES[axis.scale] if axis.scale else "no order",
            best=number(best[axis.name]) if axis.name in best else "–",
            importance=findings.record.importances.get(axis.name),
        )
        for axis in findings.axes
    )


def trial_rows(findings: Findings) -> tuple[TrialRow, ...]:
    """A row for each trial: the best first, those without a value last."""
    judged = {one.trial.number: one for one in findings.judged}
    gain = findings.objective.gain
    ranked = sorted(findings.judged, key=lambda one: -gain(one.value, 0.0))
    best_first = [one.trial for one in ranked]
    rest = [t for t in findings.record.trials if t.number not in judged]
    rows = []
    for trial in [*best_first, *sorted(rest, key=lambda trial: trial.number)]:
        one = judged.get(trial.number)
        rows.append(
            TrialRow(
                number=trial.number,
                job=trial.job,
                status="stopped early" if trial.early_stopped else _STATUS[trial.status],
                best=trial.number == findings.record.best,
                value=Cell(findings.objective.text(one.value), repr(one.value))
                if one
                else Cell("–", ""),
                tone=findings.tone(one) if one else None,
                parameters=tuple(_cell(axis, trial) for axis in findings.axes),
                seconds=trial.seconds,
            )
        )
    return tuple(rows)


def fixed_values(findings: Findings) -> tuple[tuple[str, str], ...]:
    """What all trials share, without the quotes that SageMaker's SDK puts around text."""
    shown = findings.record.fixed.items()
    return tuple((name, _UNQUOTED.sub(r"\1", text)) for name, text in shown)


def failure_rows(findings: Findings) -> tuple[FailureRow, ...]:
    """A row for each reason, the most frequent first."""
    reasons: dict[str, list[int]] = {}
    for trial in findings.failed:
        reason = (trial.failure or "").strip() or "It gave no reason"
        reasons.setdefault(reason, []).append(trial.number)
    rows = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[1]))
    return tuple(
        FailureRow(len(numbers), listed([str(number) for number in numbers], 12), reason)
        for reason, numbers in rows
    )


def _tried(tuned: ParameterRange) -> str:
    if isinstance(tuned, CategoricalRange):
        return ", ".join(tuned.values)
    return f"{number(tuned.low)} to {number(tuned.high)}"


def _cell(axis: Axis, trial: TrialRecord) -> Cell:
    value: Value | None = trial.parameters.get(axis.name)
    if value is None:
        return Cell("–", "")
    return Cell(number(value), value if isinstance(value, str) else repr(value))
