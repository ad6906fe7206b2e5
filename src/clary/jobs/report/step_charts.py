"""Figures by step of what was saved of a training: losses, gradients, and how weights change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clary.formats.tensor_curves import (
    GRADIENT,
    Curve,
    loss_names,
    scalar_curves,
    statistic_curves,
    tensor_names,
)
from clary.formats.tensor_log import TensorLog
from clary.jobs.pages.drawing import across, line, ticks, upward
from clary.jobs.report.curves import DOTS_UP_TO, Tick

MOST_POINTS = 240
# A range of this factor is easier to read by its logarithm.
_LOGARITHMIC_FROM = 100.0
_DECADES = 6


@dataclass(frozen=True)
class StepCurve:
    """One line: what it is called, the class of its tone, and its path."""

    label: str
    tone: str
    path: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class StepChart:
    """A figure ready to be drawn by the template.

    `points` is what the pointer shows: x, and the lines of text there.
    """

    title: str
    note: str
    curves: tuple[StepCurve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[dict[str, Any], ...]


def step_charts(log: TensorLog) -> tuple[StepChart, ...]:
    """The figures that a log has values for."""
    charts = []
    names = loss_names(log)
    if names:
        losses = {curve.label: curve for curve in scalar_curves(log, names[0])}
        charts.append(_chart("Loss by step", names[0], losses))
    gradients = _extremes(log, GRADIENT, "abs_mean")
    charts.append(_chart("Gradients", "mean of the absolute values", gradients))
    changes = _extremes(log, f"(?!{GRADIENT}).*weight", "update")
    charts.append(_chart("Change of the weights", "as a part of their norm", changes))
    return tuple(chart for chart in charts if chart is not None)


def _extremes(log: TensorLog, wanted: str, statistic: str) -> dict[str, Curve]:
    """A statistic of the weights in training: the largest and the smallest layer at each step.

    With the layer that is so in the last step, in brackets.
    """
    names = [name for name in tensor_names(log, wanted) if name.endswith("weight")]
    found = [curves[0] for name in names if (curves := statistic_curves(log, name, statistic))]
    if len(found) < 2:
        return {curve.tensor: curve for curve in found}
    rows: dict[int, list[tuple[float, str]]] = {}
    for curve in found:
        for step, value in zip(curve.steps, curve.values, strict=True):
            rows.setdefault(step, []).append((value, curve.tensor))
    steps = tuple(sorted(rows))
    extremes = {}
    for label, choose in (("largest layer", max), ("smallest layer", min)):
        chosen = [choose(rows[step]) for step in steps]
        values = tuple(value for value, _ in chosen)
        name = chosen[-1][1]
        extremes[f"{label} ({name})"] = Curve(name, found[0].mode, steps, values)
    return extremes


def _chart(title: str, note: str, curves: dict[str, Curve]) -> StepChart | None:
    held = {label: _thinned(curve) for label, curve in curves.items()}
    held = {label: points for label, points in held.items() if points}
    if not held:
        return None
    steps = [step for points in held.values() for step, _ in points]
    values = [value for points in held.values() for _, value in points]
    place, y_ticks = _vertical(values)
    first, last = min(steps), max(steps)
    x = across(first, last) if last > first else across(first - 1, first + 1)
    drawn = []
    for number, (label, points) in enumerate(held.items()):
        path = [None if (y := place(v)) is None else (x(s), y) for s, v in points]
        dots = tuple(point for point in path if point) if len(points) <= DOTS_UP_TO else ()
        drawn.append(StepCurve(label, ("train", "valid")[number % 2], line(path), dots))
    return StepChart(
        title=title,
        note=note,
        curves=tuple(drawn),
        x_ticks=tuple(Tick(x(v), f"{v:,.0f}") for v in ticks(first, last, 6, whole=True)),
        y_ticks=y_ticks,
        points=_points(held, x),
    )


def _vertical(values: Sequence[float]) -> tuple[Callable[[float], float | None], tuple[Tick, ...]]:
    low, high = min(values), max(values)
    positive = [value for value in values if value > 0]
    if positive and high / min(positive) >= _LOGARITHMIC_FROM:
        top = math.ceil(math.log10(high))
        bottom = math.floor(math.log10(min(positive)))
        scale = upward(bottom, top)
        step = max(1, math.ceil((top - bottom) / _DECADES))
        marks = tuple(Tick(scale(k), f"1e{k}") for k in range(bottom, top + 1, step))
        return lambda value: scale(math.log10(value)) if value > 0 else None, marks
    if low == high:
        low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)
    elif 0 < low < high / 2:
        low = 0.0
    scale = upward(low, high + 0.05 * (high - low))
    return scale, tuple(Tick(scale(v), f"{v:g}") for v in ticks(low, high))


def _thinned(curve: Curve) -> list[tuple[float, float]]:
    """At most MOST_POINTS finite points: means of neighbours, where there are more."""
    points = [
        (float(step), value)
        for step, value in zip(curve.steps, curve.values, strict=True)
        if math.isfinite(value)
    ]
    size = math.ceil(len(points) / MOST_POINTS) or 1
    blocks = [points[start : start + size] for start in range(0, len(points), size)]
    return [(_mean([s for s, _ in block]), _mean([v for _, v in block])) for block in blocks]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _points(
    held: dict[str, list[tuple[float, float]]], x: Callable[[float], float]
) -> tuple[dict[str, Any], ...]:
    rows: dict[float, list[str]] = {}
    for label, points in held.items():
        for step, value in points:
            short = label.partition(" (")[0]
            rows.setdefault(step, []).append(f"{short} {value:.4g}")
    return tuple(
        {"x": round(x(step), 1), "lines": [f"step {step:,.0f}", *lines]}
        for step, lines in sorted(rows.items())
    )
