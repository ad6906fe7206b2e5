"""A run in the terminal: a line for each stage that is done, and below them the one that is under
way and those that wait. Without a terminal, a line when a stage begins its work and when it ends.

✔ check     1,797 pictures of 10 classes: 1,257 to learn from …                          0.8 s
⠹ tune      best 0.9778 · 2 trials running  ━━━━━━━━━━━━━━━╸━━━━━━  5/8                  9 s
· train
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from clary.cli.trial_table import duration
from clary.formats.workflow_record import STAGES, StageName, StageRecord
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.stage import Listener, Progress

_NAME_WIDTH = max(map(len, STAGES))
_BAR_WIDTH = 20
# A narrower terminal has room for the words alone.
_WIDE = 90
# A terminal writes ^C behind the last row, which must not grow longer than a line by it.
_ECHO_WIDTH = 2


class RunView(Listener):
    """Hears how a run goes, on the thread that runs it; shows it on the one that calls `draw`."""

    def __init__(self, console: Console, plan: WorkflowPlan) -> None:
        self.kept_all = True
        self._console = console
        self._wanted = [stage for stage in STAGES if plan.includes(stage)]
        self._waiting = list(self._wanted)
        self._began = time.monotonic()
        self._stage: StageName | None = None
        self._stage_began = self._began
        self._progress = Progress()
        self._ended: list[RenderableType] = []
        self._lock = threading.Lock()
        self._spinner = Spinner("line" if console.options.ascii_only else "dots", style="cyan")
        self._live = Live(self, console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> RunView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.draw()
        self._live.stop()

    def draw(self) -> None:
        """Show what is new. Two threads that write would tear each other's lines."""
        with self._lock:
            ended, self._ended = self._ended, []
        for line in ended:
            self._console.print(line, soft_wrap=isinstance(line, Text))
        self._console.file.flush()
        if self._live.is_started:
            self._live.refresh()

    @property
    def seconds(self) -> float:
        """How long it has been shown."""
        return time.monotonic() - self._began

    def began(self, stage: StageName) -> None:
        """A stage has begun."""
        with self._lock:
            self._stage, self._stage_began = stage, time.monotonic()
            self._progress = Progress()
            self._waiting = [one for one in self._waiting if one != stage]

    def told(self, stage: StageName, sentence: str) -> None:
        """What a stage sets out to do."""
        if self._console.is_terminal:
            self.moved(stage, Progress(sentence))
        else:
            self._say(stage, f"{sentence} …")

    def moved(self, stage: StageName, progress: Progress) -> None:
        """A stage is farther than before."""
        with self._lock:
            self._progress = progress

    def ended(self, stage: StageRecord, *, kept: bool) -> None:
        """A stage is done: just now, or in an earlier run."""
        self.kept_all = self.kept_all and kept
        took = "kept" if kept else duration(stage.seconds)
        if not self._console.is_terminal:
            self._say(stage.stage, f"{stage.sentence} ({took})")
            return
        mark = Text("*" if self._console.options.ascii_only else "✔", "dim" if kept else "green")
        name = Text(stage.stage, "dim" if kept else "bold")
        words = Text(stage.sentence, "dim" if kept else "")
        row = self._row(mark, name, words, Text(took, "dim"))
        with self._lock:
            self._stage = None
            self._ended.append(row)

    def left_out(self, stage: StageName, sentence: str) -> None:
        """A stage is not wanted."""
        with self._lock:
            self._waiting = [one for one in self._waiting if one != stage]
        if not self._console.is_terminal:
            self._say(stage, f"left out: {sentence}")
            return
        words = Text(f"left out: {sentence}", "dim")
        row = self._row(Text("-", "dim"), Text(stage, "dim"), words, Text())
        with self._lock:
            self._ended.append(row)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The stage that is under way, and those that wait."""
        with self._lock:
            stage, began, progress = self._stage, self._stage_began, self._progress
            waiting = list(self._waiting)
        if stage is not None:
            took = Text(f"{time.monotonic() - began:.0f} s", "dim")
            moving = self._moving(progress, wide=options.max_width >= _WIDE)
            yield self._row(self._spinner, Text(stage, "bold cyan"), moving, took)
        dot = "." if options.ascii_only else "·"
        for one in waiting:
            yield self._row(Text(dot, "dim"), Text(one, "dim"), Text(), Text())

    def _moving(self, progress: Progress, *, wide: bool) -> RenderableType:
        words = Text(progress.words, no_wrap=True, overflow="ellipsis")
        if not progress.total:
            return words
        count = Text(f"{progress.done:,}/{progress.total:,}", no_wrap=True)
        bar = ProgressBar(total=progress.total, completed=progress.done, width=_BAR_WIDTH)
        parts: list[RenderableType] = [words, bar, count] if wide else [words, count]
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
        if wide:
            grid.add_column(no_wrap=True, width=_BAR_WIDTH)
        grid.add_column(no_wrap=True, min_width=len(count))
        grid.add_row(*parts)
        return grid

    def _row(
        self, mark: RenderableType, name: Text, words: RenderableType, took: Text
    ) -> RenderableType:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        grid.add_column(width=_NAME_WIDTH + 1, no_wrap=True)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_column(justify="right", no_wrap=True, min_width=6)
        grid.add_row(mark, name, words, took)
        return Constrain(grid, self._console.width - _ECHO_WIDTH)

    def _say(self, stage: StageName, text: str) -> None:
        with self._lock:
            self._ended.append(Text(f"{stage:<{_NAME_WIDTH}}  {text}"))


def picture_table(which: str, rows: Iterable[tuple[str, str, str, float, str, float]]) -> Table:
    """What was asked about each picture: its file, its right label, and both answers.

    Args:
        which: what the pictures are, such as `held-out`.
        rows: file, right label, answer and probability of Clary's client, then of boto3.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(f"{which} picture", overflow="fold")
    for heading in ("is", "Predictor", "boto3"):
        table.add_column(heading, overflow="fold")
    for file, label, answer, probability, other, other_probability in rows:
        table.add_row(
            Text(file),
            Text(label),
            Text(f"{answer} {probability:.1%}", "green" if answer == label else "red"),
            Text(f"{other} {other_probability:.1%}", "green" if other == label else "red"),
        )
    return table
