"""Curves in the terminal: lines of braille dots, and marks for a second curve.

    loss by step  ⠒ train  • valid
     2.3 ┤⠱⡀
         │ ⠈⢆•
     1.2 ┤   ⠑⢄⡀ •
         │      ⠉⠢⢄⣀  •
    0.12 ┤          ⠉⠉⠒⠒⠤•⣀⣀
         └┬────────┬─────────┬─
          0       50        100

A curve of more points than there are columns is drawn by its mean in each. Curves can be told apart
without colours, and where the terminal has no braille, letters stand for the dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_LABEL_WIDTH = 8
# A range of this factor is easier to read by its logarithm.
_LOGARITHMIC_FROM = 100.0
_BRAILLE = 0x2800
# The bit of each dot in a braille cell, by column and by row from the top.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_STYLES = ("cyan", "yellow", "magenta", "green", "blue", "red")
# The first curve is a line; the others are marks, so that no colour is needed to tell them.
_MARKS = ("", "•", "+", "x", "o", "*")
_ASCII_MARKS = (".", "o", "+", "x", "%", "*")


@dataclass(frozen=True)
class Series:
    """A curve: its name in the legend, and its points, by growing step; NaN and infinite are
    marked at the top."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """Curves over steps, as wide as the terminal; six at the most.

    `height` counts the lines of the plot itself.
    """

    title: str
    series: Sequence[Series]
    height: int = 9
    most_width: int = 110
    unit: str = "step"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The chart's lines."""
        width = max(20, min(options.max_width, self.most_width) - _LABEL_WIDTH - 3)
        yield from self.lines(width, ascii_only=options.ascii_only)

    def lines(self, width: int, *, ascii_only: bool = False) -> Iterable[Text]:
        """The chart's lines, with `width` columns for the plot."""
        shown = [one for one in self.series[: len(_STYLES)] if len(one.steps)]
        finite = [value for one in shown for value in one.values if math.isfinite(value)]
        yield self._legend(shown, ascii_only, logarithmic=_is_logarithmic(finite))
        if not shown:
            return
        scale = _Scale.of(finite)
        first = min(one.steps[0] for one in shown)
        last = max(one.steps[-1] for one in shown)
        steps = _Scale(first, last, logarithmic=False)
        canvas = _Canvas(width, self.height, steps, scale, ascii_only=ascii_only)
        for number, one in enumerate(shown):
            canvas.draw(number, one)
        middle, bottom = round((self.height - 1) / 2), self.height - 1
        rows = (0, middle, bottom) if scale.high > scale.low else (middle,)
        labels = {row: _number(scale.value(1 - row / bottom)) for row in rows}
        for row, cells in enumerate(canvas.rows()):
            tick = "┤" if row in labels else "│"
            if ascii_only:
                tick = "+" if row in labels else "|"
            yield Text.assemble((f"{labels.get(row, ''):>{_LABEL_WIDTH}} {tick}", "dim"), cells)
        yield from self._axis(width, steps, ascii_only)

    def _legend(self, shown: Sequence[Series], ascii_only: bool, *, logarithmic: bool) -> Text:
        text = Text(self.title, style="bold")
        text.append(f" by {self.unit}", "dim not bold")
        if logarithmic:
            text.append(", logarithmic", "dim not bold")
        if not shown:
            text.append("  no values", "dim not bold")
        for number, one in enumerate(shown):
            if len(shown) == 1 and not one.label:
                continue
            mark = (_ASCII_MARKS if ascii_only else ("⠒", *_MARKS[1:]))[number]
            text.append(f"  {mark} ", f"{_STYLES[number]} not bold")
            text.append(one.label, "not bold")
        return text

    def _axis(self, width: int, steps: _Scale, ascii_only: bool) -> Iterable[Text]:
        corner, dash, tick = ("+", "-", "+") if ascii_only else ("└", "─", "┬")
        places = _tick_places(steps.low, steps.high, most=max(2, width // 9))
        line, names = [dash] * width, [" "] * (width + _LABEL_WIDTH)
        for value in places:
            column = round(steps.place(value) * (width - 1))
            name = _number(value)
            line[column] = tick
            start = column - len(name) // 2 + _LABEL_WIDTH // 2
            start = max(0, min(start, len(names) - len(name)))
            names[start : start + len(name)] = name
        gap = " " * (_LABEL_WIDTH + 1)
        yield Text(f"{gap}{corner}{''.join(line)}", style="dim")
        margin = " " * (_LABEL_WIDTH + 2 - _LABEL_WIDTH // 2)
        yield Text(f"{margin}{''.join(names).rstrip()}", style="dim")


@dataclass(frozen=True)
class _Scale:
    """From values to 0 … 1, upward."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, finite: Sequence[float]) -> _Scale:
        if not finite:
            return cls(0.0, 1.0, logarithmic=False)
        low, high = min(finite), max(finite)
        if _is_logarithmic(finite):
            return cls(math.log10(low), math.log10(high), logarithmic=True)
        return cls(low, high, logarithmic=False)

    def place(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        moved = math.log10(value) if self.logarithmic else value
        return (moved - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        moved = self.low + place * (self.high - self.low)
        return 10.0**moved if self.logarithmic else moved


class _Canvas:
    """Cells of dots, marks and styles."""

    def __init__(
        self, width: int, height: int, steps: _Scale, values: _Scale, *, ascii_only: bool
    ) -> None:
        self._width, self._height = width, height
        self._steps, self._scale = steps, values
        self._ascii = ascii_only
        self._dots = [[0] * width for _ in range(height)]
        self._marks: dict[tuple[int, int], tuple[str, str]] = {}
        self._styles: dict[tuple[int, int], str] = {}

    def draw(self, number: int, one: Series) -> None:
        points = _means(self._columns(one, self._width))
        if number == 0 and len(points) > 1:
            self._line(one, _STYLES[0])
        else:
            mark = (_ASCII_MARKS if self._ascii else _MARKS)[number] or "•"
            for column, value in points:
                self._marks[self._row(value), column] = (mark, _STYLES[number])
        self._mark_others(one)

    def rows(self) -> Iterable[Text]:
        for row in range(self._height):
            text = Text()
            for column in range(self._width):
                mark = self._marks.get((row, column))
                dots = self._dots[row][column]
                if mark is not None:
                    text.append(*mark)
                elif dots:
                    drawn = _ASCII_MARKS[0] if self._ascii else chr(_BRAILLE + dots)
                    text.append(drawn, self._styles[row, column])
                else:
                    text.append(" ")
            yield text

    def _line(self, one: Series, style: str) -> None:
        before: tuple[int, int] | None = None
        for x, value in _means(self._columns(one, 2 * self._width)):
            y = round((1.0 - self._scale.place(value)) * (4 * self._height - 1))
            for dot in _between(before or (x, y), (x, y)):
                self._dot(*dot, style)
            before = (x, y)

    def _dot(self, x: int, y: int, style: str) -> None:
        row, column = y // 4, x // 2
        self._dots[row][column] |= _BITS[x % 2][y % 4]
        self._styles[row, column] = style

    def _mark_others(self, one: Series) -> None:
        """What is NaN or infinite stands at the top."""
        for step, value in zip(one.steps, one.values, strict=True):
            if not math.isfinite(value):
                self._marks[0, self._column(step, self._width)] = ("!", "bold red")

    def _columns(self, one: Series, width: int) -> Iterable[tuple[int, float]]:
        for step, value in zip(one.steps, one.values, strict=True):
            if math.isfinite(value):
                yield self._column(step, width), value

    def _column(self, step: float, width: int) -> int:
        return round(self._steps.place(step) * (width - 1))

    def _row(self, value: float) -> int:
        return round((1.0 - self._scale.place(value)) * (self._height - 1))


def _means(points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """The mean of the values of each column, by column."""
    held: dict[int, list[float]] = {}
    for column, value in points:
        held.setdefault(column, []).append(value)
    return [(column, sum(values) / len(values)) for column, values in sorted(held.items())]


def _between(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """The dots of a straight line, both ends among them."""
    longest = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    for k in range(longest + 1):
        share = k / longest if longest else 0.0
        yield (
            round(start[0] + share * (end[0] - start[0])),
            round(start[1] + share * (end[1] - start[1])),
        )


def _is_logarithmic(finite: Sequence[float]) -> bool:
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= _LOGARITHMIC_FROM


def _tick_places(first: float, last: float, *, most: int) -> list[float]:
    """Round steps between two, in steps of 1, 2 or 5 × 10ⁿ; the first one among them."""
    span = last - first
    if span <= 0:
        return [first]
    exponent = math.floor(math.log10(span / most))
    step = max(1.0, 10.0**exponent)
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
    begin = math.ceil(first / step) * step
    count = math.floor((last - begin) / step) + 1
    return [begin + k * step for k in range(count)] or [first]


def _number(value: float) -> str:
    """A number in at most eight characters."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
