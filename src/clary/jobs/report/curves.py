"""Learning curves: loss and accuracy by epoch, the best one marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clary.jobs.pages.drawing import across, line, thinned, ticks, upward
from clary.jobs.pages.wording import percent
from clary.jobs.report.material import Epoch

DOTS_UP_TO = 40


@dataclass(frozen=True)
class Tick:
    """A position and what stands there."""

    place: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One line: `kind` is `train` or `valid`; dots are (x, y)."""

    kind: str
    path: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A figure ready to be drawn by the template.

    `points` is what the pointer shows: x, the epoch and the texts of each curve.
    """

    title: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    best: Tick | None
    points: tuple[dict[str, Any], ...]


def learning_curves(epochs: Sequence[Epoch], best: Epoch | None) -> tuple[Chart, Chart]:
    """The charts of loss and accuracy; `epochs` is not empty."""
    shown = [epochs[k] for k in thinned(len(epochs))]
    if best is not None and best not in shown:
        shown = sorted([*shown, best], key=lambda epoch: epoch.epoch)
    return (
        _chart("Loss", shown, best, "loss", lambda value: f"{value:.3f}"),
        _chart("Accuracy", shown, best, "accuracy", percent),
    )


def _chart(
    title: str,
    epochs: Sequence[Epoch],
    best: Epoch | None,
    figure: str,
    text: Callable[[float], str],
) -> Chart:
    values = {
        kind: [getattr(epoch, f"{kind}_{figure}") for epoch in epochs]
        for kind in ("train", "valid")
    }
    low, high = _range([v for row in values.values() for v in row if v is not None], figure)
    first, last = epochs[0].epoch, epochs[-1].epoch
    x = across(first, last) if last > first else across(first - 1, first + 1)
    y = upward(low, high)
    curves = []
    for kind, row in values.items():
        points = [
            None if value is None else (x(epoch.epoch), y(value))
            for epoch, value in zip(epochs, row, strict=True)
        ]
        dots = tuple(point for point in points if point) if len(epochs) <= DOTS_UP_TO else ()
        curves.append(Curve(kind, line(points), dots))
    return Chart(
        title=title,
        curves=tuple(curves),
        x_ticks=tuple(Tick(x(v), f"{v:.0f}") for v in ticks(first, last, 8, whole=True)),
        y_ticks=tuple(Tick(y(v), _tick_text(v, figure)) for v in ticks(low, high)),
        best=None if best is None else Tick(x(best.epoch), f"best: epoch {best.epoch}"),
        points=tuple(
            {
                "x": round(x(epoch.epoch), 1),
                "epoch": epoch.epoch,
                **{kind: None if row[k] is None else text(row[k]) for kind, row in values.items()},
            }
            for k, epoch in enumerate(epochs)
        ),
    )


def _range(values: Sequence[float], figure: str) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    if figure == "loss":
        return 0.0, max(values) * 1.05 or 1.0
    low = min(values) - 0.05
    steps = [s for s in (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9) if s <= low]
    return (steps[-1] if steps else 0.0), 1.0


def _tick_text(value: float, figure: str) -> str:
    return percent(value, 0) if figure == "accuracy" else f"{value:g}"
