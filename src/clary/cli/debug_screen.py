"""What `clary debug` shows: findings first, then how the rules stand, then curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from clary.cli.charts import Chart, Series
from clary.cli.findings_text import FindingBlock, StatusLines
from clary.errors import UsageError
from clary.formats.finding_sentences import first_line, grouped, verdict
from clary.formats.findings import Finding
from clary.formats.tensor_curves import (
    GRADIENT,
    STATISTICS,
    UPDATE,
    Curve,
    loss_names,
    name_pattern,
    scalar_curves,
    statistic_curves,
    tensor_names,
)
from clary.formats.tensor_log import TensorLog
from clary.sdk.job_debugging import DebugMoment
from clary.sdk.rule_evaluations import RuleEvaluation

_MOST_CHARTS = 6
_MOST_LOSSES = 2


@dataclass(frozen=True)
class Wanted:
    """What a person wants to see of a job: tensors to draw, rules to show; all rules where none
    is named. `job` is what was typed for it.
    """

    job: str
    tensors: tuple[str, ...] = ()
    statistic: str = "l2"
    rules: tuple[str, ...] = ()
    names: bool = False

    def shows(self, rule: str) -> bool:
        """Whether a rule is shown."""
        return not self.rules or rule in self.rules

    def check(self) -> None:
        """Check what can be told before anything is read.

        Raises:
            UsageError: a tensor is no regular expression.
        """
        for tensor in self.tensors:
            name_pattern(tensor)

    def require(self, moment: DebugMoment) -> None:
        """Check that all of it is there.

        Raises:
            UsageError: a tensor or a rule is not.
        """
        self._require_rules(moment)
        self._require_tensors(moment)

    def require_by_now(self, moment: DebugMoment) -> None:
        """Check that all of it is there that does not come any more: a job has its rules from
        the start, and all else is there when it has ended.

        Raises:
            UsageError: a tensor or a rule is not.
        """
        if moment.ended or moment.status is not None:
            self._require_rules(moment)
        if moment.ended:
            self._require_tensors(moment)

    def _require_rules(self, moment: DebugMoment) -> None:
        known = [rule.name for rule in moment.rules]
        for rule in self.rules:
            if rule not in known:
                raise UsageError(
                    f"{moment.name} has no rule {rule}: it has {', '.join(known) or 'none'}"
                )

    def _require_tensors(self, moment: DebugMoment) -> None:
        for tensor in self.tensors:
            if moment.log is None or not tensor_names(moment.log, tensor):
                raise UsageError(
                    f"no tensor {tensor} was saved of {moment.name}: "
                    f"`clary debug {self.job} --names` lists those that were"
                )


@dataclass(frozen=True)
class Screen:
    """A moment ready to be printed: nothing is read any more."""

    ended: bool
    rules: tuple[RuleEvaluation, ...]
    findings: tuple[Finding, ...]
    blocks: tuple[RenderableType, ...]

    @property
    def exit_code(self) -> int:
        """1 when a rule has found something."""
        return int(any(rule.status == "IssuesFound" for rule in self.rules))


def compose(moment: DebugMoment, wanted: Wanted) -> Screen:
    """Read what is wanted of a moment, on the thread that asked for it."""
    findings = tuple(one for one in moment.findings if wanted.shows(one.rule))
    rules = tuple(rule for rule in moment.rules if wanted.shows(rule.name))
    blocks: list[RenderableType] = [_headline(moment)]
    blocks += _failures(moment)
    if wanted.rules or not (wanted.tensors or wanted.names):
        blocks += _rule_blocks(findings, rules)
    if moment.log is not None:
        blocks += _tensor_blocks(moment.log, wanted)
    return Screen(moment.ended, rules, findings, tuple(blocks))


def _headline(moment: DebugMoment) -> Text:
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


def _failures(moment: DebugMoment) -> Iterator[RenderableType]:
    told = "\n".join(f"{one.message}\n{one.detail}" for one in moment.findings)
    failures = moment.log.failures if moment.log is not None else ()
    for failure in (one for one in failures if first_line(one) not in told):
        yield Text.assemble(("the watching failed  ", "bold magenta"), first_line(failure))


def _rule_blocks(
    findings: tuple[Finding, ...], rules: tuple[RuleEvaluation, ...]
) -> Iterator[RenderableType]:
    for group in grouped(findings):
        yield Text()
        yield FindingBlock(group)
    if rules:
        yield Text()
        yield StatusLines(rules, frozenset(finding.rule for finding in findings))


def _tensor_blocks(log: TensorLog, wanted: Wanted) -> Iterator[RenderableType]:
    if wanted.names:
        yield Text()
        yield from _name_lines(log)
    if not wanted.names or wanted.tensors:
        for chart in _charts(log, wanted):
            yield Text()
            yield chart
    if not (wanted.tensors or wanted.names):
        yield from _what_else(log, wanted.job)


def _charts(log: TensorLog, wanted: Wanted) -> Iterator[RenderableType]:
    if not wanted.tensors:
        for name in loss_names(log)[:_MOST_LOSSES]:
            yield _chart(name, scalar_curves(log, name))
        return
    names = [name for one in wanted.tensors for name in tensor_names(log, one)]
    known = log.names()
    for name in list(dict.fromkeys(names))[:_MOST_CHARTS]:
        if "scalar" in known[name].kinds:
            yield _chart(name, scalar_curves(log, name))
        else:
            curves = statistic_curves(log, name, wanted.statistic)
            title = f"{name}: {STATISTICS[wanted.statistic][1]}"
            if curves or wanted.statistic != UPDATE:
                yield _chart(title, curves)
            else:
                yield Text(f"{title}: only weights that were saved twice have it", overflow="fold")


def _chart(title: str, curves: tuple[Curve, ...]) -> Chart:
    return Chart(title, [Series(curve.label, curve.steps, curve.values) for curve in curves])


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
    count = "1 more tensor" if len(tensors) == 1 else f"{len(tensors)} more tensors"
    yield Text()
    yield Text(f"{count}, such as --tensor {example}", style="dim")
    yield Text(f"clary debug {job} --names lists them", style="dim")
