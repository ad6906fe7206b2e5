"""Calls a rule for what is new, worker by worker, until it has found an issue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.source import Source
from clary.rules.window import FOREVER, Window

# So many steps are judged at once at most: between two chunks the caller may stop, and what is
# kept of them stays small.
_CHUNK = 1024


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Now:
    """The circumstances of a look: `seconds` since 1970, and whether nothing will follow.

    `is_over` is asked between two chunks of steps; true ends the look early. Before `awake_since`,
    in seconds since 1970, nobody could look, and the training may have stood still too.
    """

    seconds: float
    ended: bool = False
    is_over: Callable[[], bool] = _never
    awake_since: float = 0.0


@dataclass
class Runner:
    """Checks one rule; owned by one thread, which calls `look` whenever there is something new.

    `began` is when it was started first, in seconds since 1970. `learning` is what the job says of
    itself, `others` are other runs.
    """

    rule: Rule
    began: float
    learning: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Source, ...] = ()
    fired: Finding | None = None
    fired_step: int | None = None
    """Over all modes; None where the issue belongs to no step."""
    judged: int = 0
    """How many values the rule has looked at."""
    last_step: int | None = None
    _after: dict[str, int] = field(default_factory=dict)

    def look(self, sources: Sequence[Source], now: Now) -> list[Finding]:
        """Judge what is new; nothing once the rule has found an issue.

        Args:
            sources: one for each worker; one of nothing where there is none yet.
            now: the circumstances.
        """
        found: list[Finding] = []
        for source in sources:
            for window in self._windows(source, now):
                if self.fired is not None or now.is_over():
                    return found
                found += self._judge(window)
        return found

    def lacks(self, sources: Sequence[Source], now: Now) -> Finding | None:
        """What has kept the rule from judging any worker; None where it has judged one."""
        lacking = [self.rule.lacks(self._window(source, now)) for source in sources]
        return None if None in lacking else next(iter(lacking), None)

    def _judge(self, window: Window) -> list[Finding]:
        self.judged += sum(len(window.new(name)) for name in self.rule.tensors(window))
        if window.steps:
            self.last_step = max(self.last_step or 0, window.steps[-1].number)
        found = list(self.rule.judge(window))
        for finding in found:
            if finding.kind == "issue" and self.fired is None:
                self.fired, self.fired_step = finding, _number(window, finding)
        return found

    def _windows(self, source: Source, now: Now) -> list[Window]:
        whole = self._window(source, now)
        steps = whole.steps
        after = self._after.get(source.worker, -1)
        new = [step.number for step in steps if step.number > after]
        windows = []
        for end in new[_CHUNK - 1 : -1 : _CHUNK]:
            windows.append(self._window(source, now, after=after, until=end, last=False))
            after = end
        windows.append(self._window(source, now, after=after))
        if steps:
            self._after[source.worker] = steps[-1].number
        return windows

    def _window(
        self,
        source: Source,
        now: Now,
        *,
        after: int = -1,
        until: int = FOREVER,
        last: bool = True,
    ) -> Window:
        parameters = self.rule.parameters
        end = FOREVER if parameters.end_step is None else parameters.end_step - 1
        return Window(
            source,
            after=after,
            until=min(until, end),
            first=parameters.start_step,
            ended=now.ended and last,
            now=now.seconds,
            began=max(self.began, now.awake_since),
            learning=self.learning,
            others=self.others,
        )


def _number(window: Window, finding: Finding) -> int | None:
    """The step of a finding over all modes."""
    if finding.step is None or finding.mode is None:
        return finding.step
    for step in reversed(window.steps):
        if step.mode.name == finding.mode and step.mode_step == finding.step:
            return step.number
    return None
