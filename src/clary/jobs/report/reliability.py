"""The reliability diagram: how often the model is right when it says how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

from clary.formats.evaluation import Calibration, Evaluation
from clary.jobs.pages.drawing import Scale, line, ticks
from clary.jobs.pages.wording import percent
from clary.jobs.report.curves import Tick

SIDE = 300.0
LEFT, TOP = 46.0, 12.0
HISTOGRAM = 44.0


@dataclass(frozen=True)
class Dot:
    """A bin: where it lies, how large it is drawn, what it says."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True)
class Line:
    """The bins before or after the temperature."""

    kind: str
    path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Bar:
    """How many predictions a bin holds, drawn beneath the diagram."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Diagram:
    """The figure ready to be drawn, and what it says in words."""

    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    diagonal: str
    sentence: str


def reliability_diagram(evaluation: Evaluation) -> Diagram:
    """Draw the bins before and after the temperature against the diagonal."""
    x = Scale(0, 1, LEFT, LEFT + SIDE)
    y = Scale(0, 1, TOP + SIDE, TOP)
    kinds = (("before", evaluation.uncalibrated), ("after", evaluation.calibrated))
    return Diagram(
        lines=tuple(_line(kind, table, x, y) for kind, table in kinds),
        bars=_bars(evaluation.calibrated, x),
        x_ticks=tuple(Tick(x(v), percent(v, 0)) for v in ticks(0, 1)),
        y_ticks=tuple(Tick(y(v), percent(v, 0)) for v in ticks(0, 1)),
        diagonal=line([(x(0), y(0)), (x(1), y(1))]),
        sentence=_sentence(evaluation),
    )


def _line(kind: str, table: Calibration, x: Scale, y: Scale) -> Line:
    most = max(row.count for row in table.bins)
    dots = tuple(
        Dot(
            x(row.confidence),
            y(row.accuracy),
            2.5 + 5 * (row.count / most) ** 0.5,
            f"{row.count} predictions, on average {percent(row.confidence)} sure, "
            f"{percent(row.accuracy)} right",
        )
        for row in table.bins
        if row.confidence is not None and row.accuracy is not None
    )
    # A bin of one or two answers is drawn as a dot, but says too little to bend the line.
    fewest = max(3.0, 0.01 * sum(row.count for row in table.bins))
    filled = [row for row in table.bins if row.count]
    path = line(
        [(dot.x, dot.y) for dot, row in zip(dots, filled, strict=True) if row.count >= fewest]
    )
    return Line(kind, path, dots)


def _bars(table: Calibration, x: Scale) -> tuple[Bar, ...]:
    most = max(row.count for row in table.bins)
    floor = TOP + SIDE + 30 + HISTOGRAM
    return tuple(
        Bar(
            x(row.lower) + 1,
            floor - HISTOGRAM * row.count / most,
            x(row.upper) - x(row.lower) - 2,
            HISTOGRAM * row.count / most,
            f"{row.count} predictions between {percent(row.lower, 0)} and {percent(row.upper, 0)}",
        )
        for row in table.bins
    )


def _sentence(evaluation: Evaluation) -> str:
    before, after = evaluation.uncalibrated.ece, evaluation.calibrated.ece
    temperature = evaluation.temperature
    if temperature > 1.05:
        kind = f"too sure of itself; dividing its logits by {temperature:.2f} lowers"
    elif temperature < 0.95:
        kind = f"not sure enough; dividing its logits by {temperature:.2f} raises"
    else:
        kind = f"about as sure as it should be; a temperature of {temperature:.2f} hardly changes"
    few = " With so few pictures the curve is rough." if evaluation.pictures < 200 else ""
    verb = "falls" if after < before else "goes"
    return (
        f"On the validation pictures the raw network was {kind} its probabilities, and the saved "
        f"model does that by itself. The average gap between what it says and how often it is "
        f"right {verb} from {percent(before)} to {percent(after)} on these pictures.{few}"
    )
