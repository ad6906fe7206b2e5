"""A profile on the terminal: the verdict, the job and a step as bars, the machine, what to change.

In colours where there are any; the parts of a bar can be told apart without them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clary.formats.finding_sentences import sentence
from clary.jobs.profile_report.comparison import Comparison, Row, compare
from clary.jobs.profile_report.job_bar import job_bar
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.resources import Resource, resources
from clary.jobs.profile_report.rules_table import rule_rows, untold_findings
from clary.jobs.profile_report.step_bar import step_bar
from clary.jobs.profile_report.verdict import advice, headline
from clary.jobs.profile_report.words import PART_WORDS
from clary.profiler.wording import brief, percent, times

_MOST_WIDTH = 100
_NAME_WIDTH = 9
_TOTAL_WIDTH = 12
# Traffic below this is none.
_SILENCE_BYTES = 20e3
_MOST_RESOURCES = 14
_STYLES = {
    "data": "red", "transfer": "yellow", "forward": "cyan", "backward": "blue",
    "optimizer": "magenta", "other": "bright_black",
    "initialization": "bright_black", "training": "cyan", "evaluation": "magenta",
    "checkpoint": "red", "features": "green", "finalization": "bright_black", "running": "cyan",
}  # fmt: skip
_FULL = "█"
_SHADES = "█▒▓░▚▞"
_LETTERS = "#=+-o."


@dataclass(frozen=True)
class Slice:
    """A part of a bar; `share` is of the bar's length."""

    key: str
    label: str
    value: str
    share: float


@dataclass(frozen=True)
class Bar:
    """A bar with its legend below, as wide as the terminal, a hundred columns at most."""

    name: str
    total: str
    slices: Sequence[Slice]
    scale: float = 1.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        width = min(options.max_width, _MOST_WIDTH)
        room = max(width - _NAME_WIDTH - _TOTAL_WIDTH, 10)
        marks = _marks(console, options)
        line = Text(f"{self.name:<{_NAME_WIDTH}}", "bold")
        cells = _cells([one.share for one in self.slices], max(round(room * self.scale), 1))
        for number, (one, count) in enumerate(zip(self.slices, cells, strict=True)):
            line.append(marks[number % len(marks)] * count, _STYLES[one.key])
        line.append(f" {self.total}", "bold")
        yield line
        yield from self._legend(marks, width)

    def _legend(self, marks: str, width: int) -> Iterator[Text]:
        line = Text(" " * _NAME_WIDTH)
        for number, one in enumerate(self.slices):
            entry = Text.assemble(
                (marks[number % len(marks)], _STYLES[one.key]),
                f" {one.label} ",
                (one.value, "bold"),
                (f" {_share(one.share)}", "dim"),
            )
            begun = len(line) > _NAME_WIDTH
            if begun and len(line) + 3 + len(entry) > width:
                yield line
                line, begun = Text(" " * _NAME_WIDTH), False
            line.append("   " if begun else "")
            line.append_text(entry)
        if len(line) > _NAME_WIDTH:
            yield line


def print_summary(console: Console, material: Material, against: Material | None = None) -> None:
    """Print what a reader takes along.

    Args:
        console: to print on.
        material: the job.
        against: a job to compare it with.
    """
    width = min(console.width, _MOST_WIDTH)
    if against is not None:
        _print_comparison(console, material, against, width)
        return
    _print_blocks(console, _verdict(material, width))
    for bar in _bars(material):
        console.print(bar)
    _print(console, Text())
    _print_blocks(console, _machine(material), _advice(material, width), _rules(material, width))


def print_page(console: Console, page: Path) -> None:
    """Say where the page is."""
    _print(console, Text.assemble(("page: ", "bold"), str(page)))


def _share(share: float) -> str:
    return "<0.1 %" if 0 < share < 0.001 else percent(share)


def _print_blocks(console: Console, *blocks: Iterator[Text]) -> None:
    """Print lines, blocks that have any with an empty line after them."""
    for block in blocks:
        lines = list(block)
        for line in (*lines, Text()) if lines else ():
            _print(console, line)


def _print(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)


def _title(material: Material) -> Text:
    facts = material.profile.facts
    parts = [
        "" if facts is None else facts.device,
        "" if not material.seconds else brief(material.seconds),
        "" if material.over else "still running",
    ]
    about = " · ".join(part for part in parts if part)
    return Text.assemble((material.name, "bold"), (f"  {about}" if about else "", "dim"))


def _headline(material: Material) -> Text:
    head = headline(material)
    text = Text(head.text, "bold green" if head.healthy else "bold yellow")
    if head.gain:
        text.append(f": {times(head.gain)} as fast is within reach", "bold cyan")
    return text


def _bars(material: Material) -> Iterator[Bar]:
    job, step = job_bar(material), step_bar(material.profile)
    if job is not None and job.parts:
        slices = []
        for part in job.parts:
            count = f" ({part.count} ×)" if part.count and part.count > 1 else ""
            label = f"{PART_WORDS[part.kind]}{count}"
            slices.append(Slice(part.kind, label, brief(part.seconds), part.share))
        yield Bar("the job", brief(material.breakdown.job_s), slices)
    if step is not None:
        slices = [Slice(p.key, p.label, brief(p.seconds), p.share) for p in step.phases]
        yield Bar("a step", brief(step.seconds), slices)


def _verdict(material: Material, width: int) -> Iterator[Text]:
    yield _title(material)
    yield _headline(material)
    yield Text()
    yield from _wrapped(" ".join(material.sentences), width)
    for failure in material.profile.failures:
        last = failure.strip().rpartition("\n")[2]
        yield from _wrapped(f"The watching failed, and the training went on: {last}", width)


def _print_comparison(console: Console, first: Material, second: Material, width: int) -> None:
    compared = compare(first, second)
    for material in (first, second):
        _print(console, _title(material))
        _print(console, _headline(material))
        bars = {bar.name: bar for bar in _bars(material)}
        side = compared.sides[material is second]
        if "a step" in bars:
            console.print(replace(bars["a step"], scale=side.step_scale))
        _print(console, Text())
    _print_blocks(console, _wrapped(" ".join(compared.sentences), width), _compared_rows(compared))


def _compared_rows(compared: Comparison) -> Iterator[Text]:
    names = [side.name for side in compared.sides]
    rows = [Row("", names[0], names[1], factor="as much"), *compared.rows]
    label = max(len(row.label) for row in (*rows, *compared.settings))
    first, second = (max(len(getattr(row, side)) for row in rows) for side in ("first", "second"))
    for number, row in enumerate(rows):
        style = "" if row.better is None else "green" if row.better else "red"
        line = Text(f"{row.label:<{label}}  {row.first:>{first}}  {row.second:>{second}}  ")
        line.append(f"{row.factor:>7}", style)
        if not number:
            line.stylize("dim")
        line.rstrip()
        yield line
    if compared.settings:
        yield Text()
        yield Text("set differently", "bold")
    for row in compared.settings:
        yield Text(f"{row.label:<{label}}  {row.first} → {row.second}")


def _machine(material: Material) -> Iterator[Text]:
    held = [
        one
        for one in resources(material.profile)
        if one.unit != "bytes a second" or one.values.max() >= _SILENCE_BYTES
    ][:_MOST_RESOURCES]
    if not held:
        return
    several = len(material.profile.hosts) > 1
    labels = [f"{one.host} {one.label}" if several else one.label for one in held]
    name = max(len(label) for label in labels)
    heads = ("p50", "p95", "max")
    columns = [[one.text(one.quantile(share)) for one in held] for share in (0.5, 0.95, 1.0)]
    widths = [max(len(text) for text in (*column, head)) for column, head in
              zip(columns, heads, strict=True)]  # fmt: skip
    cells = "   ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    yield Text.assemble((f"{'the machine':<{name}}", "bold"), (f"   {cells}", "dim"))
    for row, (label, one) in enumerate(zip(labels, held, strict=True)):
        texts = (f"{column[row]:>{width}}" for column, width in zip(columns, widths, strict=True))
        line = Text(f"{label:<{name}}   {'   '.join(texts)}")
        if _is_full(one):
            line.stylize("yellow")
        yield line


def _is_full(one: Resource) -> bool:
    return one.unit == "percent" and one.whole and one.quantile(0.5) > 90


def _advice(material: Material, width: int) -> Iterator[Text]:
    told = advice(material)
    if not told:
        return
    yield Text("what to change", "bold")
    gains = [f"{times(one.gain)} as fast" if one.gain else "" for one in told]
    left = max(len(gain) for gain in gains)
    for one, gain in zip(told, gains, strict=True):
        room = max(width - left - 4, 20)
        lines = [
            *(Text(text) for text in _lines(sentence(one.change), room)),
            *(Text(text, "dim") for text in _lines(sentence(one.evidence), room)),
        ]
        for number, line in enumerate(lines):
            head = Text(f"  {gain if not number else '':<{left}}", "cyan")
            yield Text.assemble(head, "  " if left else "", line)


def _rules(material: Material, width: int) -> Iterator[Text]:
    rows = rule_rows(material)
    fired = [row.name for row in rows if row.triggered]
    if fired:
        said = f"{len(fired)} of {len(rows)} fired: {', '.join(fired)}"
    else:
        untold = untold_findings(material)
        said = "none fired; what the verdict names is judged by none" if untold else "none fired"
    for number, line in enumerate(_lines(said, width - 7)):
        yield Text.assemble(("rules: " if not number else " " * 7, "bold"), line)
    told = {one.rule for one in material.diagnoses}
    for name in (one for one in fired if one not in told):
        issues = [one for one in material.judgements[name].findings if one.kind == "issue"]
        for one in issues[:1]:
            said = f"{name}: {sentence(one.message)} {sentence(one.remedy)}"
            for number, line in enumerate(_lines(said, width - 4)):
                yield Text(f"  {line}" if not number else f"    {line}", "dim")


def _wrapped(text: str, width: int) -> Iterator[Text]:
    for line in _lines(text, width):
        yield Text(line)


def _lines(text: str, width: int) -> list[str]:
    """Wrapped between words: names and options keep their hyphens together."""
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _marks(console: Console, options: ConsoleOptions) -> str:
    if options.ascii_only:
        return _LETTERS
    return _SHADES if console.no_color or console.color_system is None else _FULL


def _cells(shares: Sequence[float], room: int) -> list[int]:
    """How many columns each share gets: all of them together, and one for the smallest."""
    whole = sum(shares) or 1.0
    exact = [share / whole * room for share in shares]
    cells = [max(int(one), 1 if one > 0 else 0) for one in exact]
    while sum(cells) < room and exact:
        place = max(range(len(exact)), key=lambda k: exact[k] - cells[k])
        cells[place] += 1
    while sum(cells) > room and max(cells) > 1:
        place = max(range(len(exact)), key=lambda k: cells[k] - exact[k] if cells[k] > 1 else -1e9)
        cells[place] -= 1
    return cells
