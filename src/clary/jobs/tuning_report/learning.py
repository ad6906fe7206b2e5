"""Learning curves: the objective as each trial emitted it, in order."""

from __future__ import annotations

from dataclasses import dataclass

from clary.formats.tuning_record import TrialRecord
from clary.jobs.pages.drawing import across, line, thinned, ticks, upward
from clary.jobs.tuning_report.findings import RUNNING, Findings
from clary.jobs.tuning_report.marks import Tick
from clary.jobs.tuning_report.objective import shown_span

MOST_POINTS = 200


@dataclass(frozen=True)
class LearningCurve:
    """A trial's line; `end` is where it ends. Its `shape` tells how: `early` or `failed`."""

    number: int
    path: str
    end: tuple[float, float]
    shape: str
    tone: int
    best: bool


@dataclass(frozen=True)
class LearningCurves:
    """The figure; `strength` is how strongly each line is drawn, from 0 to 1."""

    curves: tuple[LearningCurve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    strength: float


def learning_curves(findings: Findings) -> LearningCurves | None:
    """The figure; None where no trial emitted its objective twice."""
    drawn = [trial for trial in _worst_first(findings) if _finite(trial) >= 2]
    if not drawn:
        return None
    values = [value for trial in drawn for value in trial.curve if value is not None]
    low, high = shown_span(values, findings.objective.direction)
    whole = [
        v for t in drawn for v in t.curve if v is not None and t.number == findings.record.best
    ]
    low, high = min([low, *whole]), max([high, *whole])
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = max(low - pad, 0.0) if low >= 0 else low - pad, high + pad
    if findings.objective.as_percent:
        high = min(high, 1.0)
    steps = max(len(trial.curve) for trial in drawn)
    x, y = across(1, steps), upward(low, high)
    tones = {one.trial.number: findings.tone(one) for one in findings.judged}

    def curve(trial: TrialRecord) -> LearningCurve | None:
        points = [
            None if value is None or not low <= value <= high else (x(k + 1), y(value))
            for k in thinned(len(trial.curve), MOST_POINTS)
            for value in (trial.curve[k],)
        ]
        drawn_points = [point for point in points if point]
        if not drawn_points:
            return None
        shape = "early" if trial.early_stopped else "failed" if trial.status == "Failed" else ""
        return LearningCurve(
            number=trial.number,
            path=line(points),
            end=drawn_points[-1],
            shape=shape,
            tone=tones.get(trial.number, 0),
            best=trial.number == findings.record.best,
        )

    return LearningCurves(
        curves=tuple(one for one in map(curve, drawn) if one),
        x_ticks=tuple(Tick(x(v), f"{v:.0f}") for v in ticks(1, steps, 8, whole=True)),
        y_ticks=tuple(Tick(y(v), findings.objective.tick(v)) for v in ticks(low, high)),
        strength=min(max(12 / len(drawn), 0.35), 0.9),
    )


def _worst_first(findings: Findings) -> list[TrialRecord]:
    rest = [t for t in findings.record.trials if t.status == "Failed" or t.status in RUNNING]
    return [*rest, *(one.trial for one in findings.worst_first)]


def _finite(trial: TrialRecord) -> int:
    return sum(value is not None for value in trial.curve)
