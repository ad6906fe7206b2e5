"""What benchmarks have found, a line for each claim, so that all of them make one table.

Every benchmark prints a table of its own. With `--rows FILE` it also appends to FILE what can be
compared with a goal, as lines of JSON that `summary.py` gathers:

    {"benchmark": "finetune", "what": "all layers of resnet18", "contestant": "Clary", …}
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

RATIO = "×"
# What a benchmark ends with that cannot be run on this machine; automake's number for it.
LEFT_OUT = 77


@dataclass(frozen=True)
class Row:
    """One claim: a median with its spread, and the goal that it is held against.

    `against` is what a ratio compares with. Less is better where `less` is true. A quick run
    measures nothing, so it reaches and misses nothing.
    """

    benchmark: str
    what: str
    contestant: str
    median: float
    least: float
    most: float
    n: int
    unit: str = RATIO
    against: str = ""
    goal: float | None = None
    less: bool = False
    quick: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the goal; None where there is none, or nothing is measured."""
        if self.goal is None or self.quick:
            return None
        return self.median <= self.goal if self.less else self.median >= self.goal

    @classmethod
    def read(cls, line: str) -> Row:
        """A line of a file; keys that this version does not know are left alone."""
        content: dict[str, Any] = json.loads(line)
        known = cls.__dataclass_fields__
        return cls(**{key: value for key, value in content.items() if key in known})


class Rows:
    """Appends the rows of one benchmark to a file, each as soon as it is known.

    Args:
        benchmark: the name of the script.
        file: takes the lines; they are kept nowhere when None.
        quick: whether the benchmark only shows that it runs.
    """

    def __init__(self, benchmark: str, file: Path | None, *, quick: bool = False) -> None:
        self._benchmark = benchmark
        self._file = file
        self._quick = quick

    @classmethod
    def of(cls, benchmark: str, given: argparse.Namespace) -> Rows:
        """By the options that `add_rows_option` has added."""
        return cls(benchmark, given.rows_file, quick=getattr(given, "quick", False))

    def add(
        self,
        what: str,
        contestant: str,
        values: Sequence[float],
        *,
        n: int | None = None,
        unit: str = RATIO,
        against: str = "",
        goal: float | None = None,
        less: bool = False,
    ) -> None:
        """Append a row.

        Args:
            what: was measured.
            contestant: of whom.
            values: one for each round; nothing is added when there are none.
            n: how often it was measured, where a value stands for more than one time.
            unit: of the values.
            against: what a ratio compares with.
            goal: that the median is held against.
            less: whether less is better.
        """
        if self._file is None or not values:
            return
        row = Row(
            self._benchmark,
            what,
            contestant,
            float(statistics.median(values)),
            float(min(values)),
            float(max(values)),
            len(values) if n is None else n,
            unit,
            against,
            goal,
            less,
            self._quick,
        )
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def add_rows_option(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark take `--rows FILE`."""
    parser.add_argument(
        "--rows", dest="rows_file", type=Path, metavar="FILE", help="takes lines for one table"
    )


def leave_out(reason: str) -> NoReturn:
    """End a benchmark that cannot be run here; `make bench` says why and goes on."""
    print(f"left out: {reason}", file=sys.stderr)
    sys.exit(LEFT_OUT)


def read_rows(file: Path) -> list[Row]:
    """All rows of a file, none where there is no file."""
    if not file.exists():
        return []
    return [Row.read(line) for line in file.read_text().splitlines() if line.strip()]


def table(rows: Sequence[Row]) -> str:
    """All rows, as Markdown."""
    lines = [
        "| benchmark | what | contestant | against | median (min–max) | n | goal | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        spread = f"{_figure(row.median, row)} ({_figure(row.least, row)}–{_figure(row.most, row)})"
        value = f"{spread} {row.unit}"
        bound = "–" if row.goal is None else f"{'≤' if row.less else '≥'} {row.goal:g} {row.unit}"
        reached = {True: "yes", False: "no", None: "–"}[row.reached]
        cells = (row.benchmark, row.what, row.contestant, row.against or "–", value, row.n)
        lines.append(f"| {' | '.join(map(str, cells))} | {bound} | {reached} |")
    return "\n".join(lines)


def _figure(value: float, row: Row) -> str:
    """Three digits behind the point for costs of a few per cent, fewer for what is large."""
    if row.unit == RATIO and row.goal is not None and 1 < row.goal < 1.2:
        return f"{value:.3f}"
    size = abs(row.median)
    if size >= 100 or (float(value).is_integer() and float(row.median).is_integer()):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
