"""Seconds of each workflow's stages, gathered over all tests of a run and shown at its end.

A test's report carries them, so that they also reach the summary from other processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

STAGES = ("data", "tune", "train", "debug", "profile", "deploy", "predict")
PROPERTY = "stages of a workflow"
OPTION = "--stages-table"


class Row(NamedTuple):
    """A workflow that has run."""

    title: str
    folder: str
    seconds: Mapping[str, float]
    passed: bool


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let somebody ask for the table as a file."""
    parser.addoption(
        OPTION,
        type=Path,
        metavar="FILE",
        help="write the seconds of the examples' stages as a Markdown table",
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the table when examples have run, and write it when that was asked for."""
    rows = rows_of(
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
    )
    if not rows:
        return
    terminalreporter.section("seconds of each stage")
    for line in text_lines(rows):
        terminalreporter.write_line(line)
    file = config.getoption(OPTION)
    if file is not None:
        file.write_text("\n".join(markdown_lines(rows)) + "\n")


def rows_of(reports: Iterable[Any]) -> list[Row]:
    """What the reports carry, by the examples' folders."""
    rows = [
        Row(**value, passed=report.passed)
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    return sorted(rows, key=lambda row: row.folder)


def cells(row: Row) -> list[str]:
    """Its line of the table: the stages, and all of them together."""
    found = [shown(row.seconds[stage]) if stage in row.seconds else "" for stage in STAGES]
    return [*found, shown(sum(row.seconds.values())), "passed" if row.passed else "failed"]


def shown(seconds: float) -> str:
    """To a tenth; what took less is not shown as if it had not been done."""
    return "<0.1" if seconds < 0.05 else f"{seconds:.1f}"


def text_lines(rows: Iterable[Row]) -> list[str]:
    """The table for a terminal."""
    table = [["", *STAGES, "all", ""], *([row.folder, *cells(row)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def markdown_lines(rows: Iterable[Row]) -> list[str]:
    """The table for a page."""
    head = ["workflow", *STAGES, "all", ""]
    return [
        f"| {' | '.join(head)} |".replace("  |", " |"),
        f"|---|{'---:|' * (len(STAGES) + 1)}---|",
        *(f"| {row.title} (`{row.folder}`) | {' | '.join(cells(row))} |" for row in rows),
    ]
