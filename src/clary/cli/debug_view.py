"""`clary debug -f`: in a terminal the screen is drawn anew, elsewhere a line tells what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live

from clary.cli.charts import Chart
from clary.cli.debug_screen import Screen
from clary.cli.findings_text import warning
from clary.formats.finding_sentences import first_line

_LEAST_HEIGHT, _HEIGHT = 4, 9


class DebugView:
    """Shows screens; used by one thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._last: Screen | None = None
        self._said: set[str] = set()

    def __enter__(self) -> DebugView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, screen: Screen) -> None:
        """Print all of it, to stay."""
        for block in screen.blocks:
            self._console.print(block)

    def update(self, screen: Screen | None) -> None:
        """Show how it stands now."""
        if screen is None or screen is self._last:
            return
        self._last = screen
        if not self._console.is_terminal:
            self._say_news(screen)
            return
        height = max(_LEAST_HEIGHT, min(_HEIGHT, self._console.height // 3 - 3))
        self._live.update(Group(*_with_height(screen, height)), refresh=True)

    def end(self) -> int:
        """Print what was shown last, to stay; returns the exit code."""
        if self._last is None:
            return 0
        self.show(self._last)
        return self._last.exit_code

    def _say_news(self, screen: Screen) -> None:
        """A line for each finding, and for each rule whose status has changed."""
        lines = [
            f"{rule.name}: {rule.status} {first_line(rule.details)}".rstrip()
            for rule in screen.rules
        ]
        lines += [warning(one) for one in screen.findings]
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                print(line, flush=True)


def _with_height(screen: Screen, height: int) -> Iterator[RenderableType]:
    for block in screen.blocks:
        yield replace(block, height=height) if isinstance(block, Chart) else block
