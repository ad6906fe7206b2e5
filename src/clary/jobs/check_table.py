"""A data check for people: in a terminal a table with colours, elsewhere plain lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clary.formats.data_check import CheckFinding, CheckReport, Severity
from clary.formats.text import counted

NAMES_SHOWN = 5
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "notice": "cyan"}


def print_report(report: CheckReport, console: Console) -> None:
    """Print what was checked, how the pictures are divided, every finding and the verdict."""
    console.print(_headline(report), highlight=False, soft_wrap=True)
    if console.is_terminal:
        # Said aloud because a console may be made to soft-wrap, which breaks tables.
        console.print(_split_table(report), soft_wrap=False)
        if report.findings:
            console.print(_finding_table(report), soft_wrap=False)
            console.print()
    else:
        for line in (*_split_lines(report), *_finding_lines(report)):
            console.print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.print(_verdict(report), highlight=False, soft_wrap=True)


def print_next_step(report: CheckReport, data: str, console: Console) -> None:
    """Print one line that says what to type next."""
    quoted = shlex.quote(data)
    if report.blocks_training:
        step = f"correct the errors, then run: clary check {quoted}"
    elif not report.full:
        step = f"clary check {quoted} (without --quick: decodes every picture)"
    else:
        step = f"clary train {quoted}"
    console.print(Text.assemble(("next: ", "bold"), step), highlight=False, soft_wrap=True)


def _headline(report: CheckReport) -> Text:
    how = "every picture decoded" if report.full else "headers only"
    rate = report.pictures / report.seconds if report.seconds else 0.0
    return Text.assemble(
        (report.dataset, "bold"),
        f": {report.layout}\n"
        f"{report.pictures:,} pictures of {len(report.classes):,} classes, {_sides(report)}\n"
        f"checked in {report.seconds:.1f} s ({rate:,.0f} pictures a second, {how})",
    )


def _sides(report: CheckReport) -> str:
    if report.widths[0] == report.widths[2] and report.heights[0] == report.heights[2]:
        return f"all {report.widths[0]}×{report.heights[0]} px"
    sizes = zip(report.widths, report.heights, strict=True)
    smallest, median, largest = (f"{width}×{height}" for width, height in sizes)
    return f"{smallest} to {largest} px, median {median}"


def _split_rows(report: CheckReport) -> Iterator[tuple[str, str, str]]:
    """Each split: its name, its pictures, how they are divided among the classes."""
    for split, counts in report.counts.items():
        made = " (cut from train)" if split in report.made_splits else ""
        smallest = min(counts, key=lambda name: counts[name])
        largest = max(counts, key=lambda name: counts[name])
        if counts[smallest] == counts[largest]:
            division = f"{counts[smallest]:,} of each class"
        else:
            division = (
                f"from {counts[smallest]:,} ({_printable(smallest)}) to "
                f"{counts[largest]:,} ({_printable(largest)}) a class"
            )
        yield f"{split}{made}", f"{sum(counts.values()):,}", division


def _split_table(report: CheckReport) -> Padding:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("split", no_wrap=True)
    table.add_column("pictures", justify="right")
    table.add_column("classes", overflow="fold")
    for row in _split_rows(report):
        table.add_row(*(Text(cell) for cell in row))
    return Padding(table, (1, 0))


def _split_lines(report: CheckReport) -> Iterator[str]:
    for split, pictures, division in _split_rows(report):
        yield f"{split}: {pictures} pictures, {division}"


def _finding_table(report: CheckReport) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for found in report.findings:
        style = _STYLES[found.severity]
        table.add_row(Text(found.severity, style), Text(_sentence(found)))
        for line in _name_lines(found):
            table.add_row("", Padding(Text(line, "dim"), (0, 0, 0, 2)))
    return table


def _finding_lines(report: CheckReport) -> Iterator[str]:
    for found in report.findings:
        yield f"{found.severity}: {_sentence(found)} [{found.code}]"
        for line in _name_lines(found):
            yield f"    {line}"


def _sentence(found: CheckFinding) -> str:
    return found.message[:1].upper() + found.message[1:] + "."


def _name_lines(found: CheckFinding) -> Iterator[str]:
    shown = found.names[:NAMES_SHOWN]
    for position, name in enumerate(shown):
        detail = f" ({found.details[position]})" if found.details else ""
        yield f"{_printable(name)}{_printable(detail)}"
    rest = found.count - len(shown)
    if shown and rest > 0:
        yield f"and {rest:,} more" + (
            " (some with --json)" if len(found.names) > len(shown) else ""
        )


def _printable(name: str) -> str:
    """A name without what would move the cursor."""
    return "".join(each if each.isprintable() else "\ufffd" for each in name)


def _verdict(report: CheckReport) -> Text:
    counts = {
        severity: sum(found.severity == severity for found in report.findings)
        for severity in _STYLES
    }
    said = ", ".join(counted(count, severity) for severity, count in counts.items() if count)
    if report.blocks_training:
        return Text(f"Training would go wrong: {said}.", "bold red")
    if counts["warning"]:
        return Text(f"Training can start, but look at the warnings: {said}.", "yellow")
    return Text(f"Ready for training: {said or 'nothing found'}.", "green")
