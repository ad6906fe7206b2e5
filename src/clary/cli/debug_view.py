"""`clary debug` on the screen: findings first, then how the rules stand, then curves.

Where it is live, a terminal shows it anew each time; elsewhere a line tells what is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from clary.cli.charts import Chart, Series
from clary.cli.findings_text import FindingBlock, StatusLines, warning
from clary.errors import UsageError
from clary.formats.finding_sentences import first_line, grouped, verdict
from clary.formats.findings import Finding
from clary.formats.tensor_curves import (
    GRADIENT,
    STATISTICS,
    Curve,
    loss_names,
    scalar_curves,
    statistic_curves,
    tensor_names,
)
from clary.formats.tensor_log import TensorLog
from clary.sdk.job_debugging import DebugMoment

_MOST_CHARTS = 6
_MOST_LOSSES = 2
_LEAST_HEIGHT, _HEIGHT = 4, 9


@dataclass(frozen=True)
class Wanted:
    """What a person wants to see: tensors to draw, rules to show; all rules where none is named."""

    tensors: tuple[str, ...] = ()
    statistic: str = "l2"
    rules: tuple[str, ...] = ()
    names: bool = False


class DebugView:
    """Shows moments; used by one thread.

    Args:
        console: to show them on.
        wanted: what of them.
        job: what a person has typed for the job.
    """

    def __init__(self, console: Console, wanted: Wanted, job: str) -> None:
        self._console = console
        self._job = job
        self._wanted = wanted
        self._live = Live(
            console=console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._last: DebugMoment | None = None
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

    def show(self, moment: DebugMoment) -> int:
        """Print all of it; returns the exit code.

        Raises:
            UsageError: a tensor or a rule that is wanted is not there.
        """
        self._require(moment)
        for block in self._blocks(moment, _HEIGHT):
            self._console.print(block)
        return int(any(rule.status == "IssuesFound" for rule in moment.rules))

    def update(self, moment: DebugMoment | None) -> None:
        """Show how it stands now.

        Raises:
            UsageError: a rule that is wanted is not there.
        """
        if moment is None or moment is self._last:
            return
        self._last = moment
        if not self._console.is_terminal:
            self._say_news(moment)
            return
        height = max(_LEAST_HEIGHT, min(_HEIGHT, self._console.height // 3 - 3))
        self._live.update(Group(*self._blocks(moment, height)), refresh=True)

    def end(self) -> int:
        """Print what was shown last so that it stays; returns the exit code."""
        if self._last is None:
            return 0
        return self.show(self._last)

    def _say_news(self, moment: DebugMoment) -> None:
        """A line for each finding and each rule whose status has changed."""
        lines = [
            f"{rule.name}: {rule.status} {first_line(rule.details)}".rstrip()
            for rule in moment.rules
            if self._is_shown(rule.name)
        ]
        lines += [warning(one) for one in self._findings(moment)]
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                print(line, flush=True)

    def _require(self, moment: DebugMoment) -> None:
        known = [rule.name for rule in moment.rules]
        for rule in self._wanted.rules:
            if rule not in known:
                raise UsageError(
                    f"{moment.name} has no rule {rule}: it has {', '.join(known) or 'none'}"
                )
        for tensor in self._wanted.tensors:
            if moment.log is None or not tensor_names(moment.log, tensor):
                raise UsageError(
                    f"no tensor {tensor} was saved of {moment.name}: "
                    f"`clary debug {self._job} --names` lists those that were"
                )

    def _blocks(self, moment: DebugMoment, height: int) -> Iterator[RenderableType]:
        yield self._headline(moment)
        if moment.log is not None:
            for failure in moment.log.failures:
                yield Text.assemble(("the watching failed  ", "bold magenta"), first_line(failure))
        if self._wanted.rules or not (self._wanted.tensors or self._wanted.names):
            yield from self._rule_blocks(moment)
        if moment.log is not None:
            if self._wanted.names:
                yield Text()
                yield from _name_lines(moment.log)
            for chart in self._charts(moment.log, height):
                yield Text()
                yield chart
            if not self._wanted.tensors and not self._wanted.names:
                yield from _what_else(moment.log, self._job)

    def _rule_blocks(self, moment: DebugMoment) -> Iterator[RenderableType]:
        for group in grouped(self._findings(moment)):
            yield Text()
            yield FindingBlock(group)
        rules = [rule for rule in moment.rules if self._is_shown(rule.name)]
        if rules:
            yield Text()
            yield StatusLines(rules)

    def _headline(self, moment: DebugMoment) -> Text:
        text = Text(moment.name, style="bold", overflow="fold")
        words = [moment.status] if moment.status else []
        if not moment.watched:
            words.append("nothing is watched: `clary train --debug` does")
        elif moment.log is None or not moment.log.steps():
            words.append("nothing is saved yet" if not moment.ended else "nothing was saved")
        else:
            steps = moment.log.steps()
            words.append(f"steps {steps[0].number} to {steps[-1].number}")
        if moment.rules:
            words.append(verdict([rule.status for rule in moment.rules]))
        text.append(f"  {' · '.join(words)}", "not bold")
        return text

    def _findings(self, moment: DebugMoment) -> list[Finding]:
        return [one for one in moment.findings if self._is_shown(one.rule)]

    def _is_shown(self, rule: str) -> bool:
        return not self._wanted.rules or rule in self._wanted.rules

    def _charts(self, log: TensorLog, height: int) -> Iterator[Chart]:
        if not self._wanted.tensors:
            if not self._wanted.names:
                for name in loss_names(log)[:_MOST_LOSSES]:
                    yield _chart(name, scalar_curves(log, name), height)
            return
        names = [name for wanted in self._wanted.tensors for name in tensor_names(log, wanted)]
        known = log.names()
        for name in list(dict.fromkeys(names))[:_MOST_CHARTS]:
            if "scalar" in known[name].kinds:
                yield _chart(name, scalar_curves(log, name), height)
            else:
                curves = statistic_curves(log, name, self._wanted.statistic)
                yield _chart(f"{name}: {STATISTICS[self._wanted.statistic][1]}", curves, height)


def _chart(title: str, curves: tuple[Curve, ...], height: int) -> Chart:
    return Chart(title, [Series(c.label, c.steps, c.values) for c in curves], height)


def _name_lines(log: TensorLog) -> Iterator[Text]:
    known = log.names()
    names = tensor_names(log, ".*")
    width = min(48, max(map(len, names), default=0))
    for name in names:
        held = known[name]
        kinds = ", ".join(sorted(held.kinds))
        yield Text(
            f"{name:<{width}}  steps {held.first_step} to {held.last_step}  {kinds}",
            no_wrap=True,
            overflow="ellipsis",
        )


def _what_else(log: TensorLog, job: str) -> Iterator[Text]:
    tensors = [tensor for tensor in tensor_names(log, ".*") if tensor not in loss_names(log)]
    if not tensors:
        return
    gradients = [tensor for tensor in tensors if tensor.startswith(GRADIENT)]
    example = (gradients or tensors)[-1]
    yield Text()
    yield Text(f"{len(tensors)} more tensors, such as --tensor {example}", style="dim")
    yield Text(f"clary debug {job} --names lists them", style="dim")
