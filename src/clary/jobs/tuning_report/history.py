"""The history: each trial's value by its number, and the best so far."""

from __future__ import annotations

from dataclasses import dataclass

from clary.jobs.pages.drawing import BOTTOM, HEIGHT, across, line, ticks, upward
from clary.jobs.tuning_report.findings import Findings
from clary.jobs.tuning_report.marks import Mark, Tick, cross, mark


@dataclass(frozen=True)
class History:
    """The figure: `best_so_far` is the path of a staircase."""

    marks: tuple[Mark, ...]
    best_so_far: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def history(findings: Findings) -> History | None:
    """The figure; None where no trial has a value."""
    if not findings.judged:
        return None
    last = max(trial.number for trial in findings.record.trials)
    x = across(0.5, last + 0.5)
    y = upward(findings.objective.low, findings.objective.high)
    stairs: list[tuple[float, float] | None] = []
    for one in findings.best_so_far():
        height = y(findings.objective.clip(one.value))
        if stairs and stairs[-1]:
            stairs.append((x(one.trial.number), stairs[-1][1]))
        stairs.append((x(one.trial.number), height))
    if stairs[-1]:
        stairs.append((x(last + 0.5), stairs[-1][1]))
    marks = [
        mark(findings, one, x(one.trial.number), y(findings.objective.clip(one.value)))
        for one in findings.worst_first
    ]
    marks += [cross(trial, x(trial.number), HEIGHT - BOTTOM) for trial in findings.failed]
    numbers = ticks(1, last, 8, whole=True)
    if numbers[0] != 1 and len(numbers) > 1 and numbers[0] - 1 > (numbers[1] - numbers[0]) / 2:
        numbers = [1, *numbers]
    return History(
        marks=tuple(marks),
        best_so_far=line(stairs),
        x_ticks=tuple(Tick(x(value), f"{value:.0f}") for value in numbers),
        y_ticks=tuple(
            Tick(y(value), findings.objective.tick(value)) for value in findings.objective.ticks()
        ),
    )
