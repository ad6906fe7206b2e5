"""What a rule is.

    class LossAboveTen(Rule):
        def judge(self, window):
            for name in window.names(collections=["losses"]):
                for step in window.new(name):
                    if window.statistics(name, step).mean > 10:
                        return [self.issue(window, step, f"{name} is over 10", tensor=name)]
            return []

A class in a file of its own is a custom rule; those that Clary has are in `clary.debugger.rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clary.formats.findings import Finding, Kind
from clary.formats.rule_parameter_types import RuleParameters
from clary.formats.tensor_log.entries import Mode
from clary.rules.window import Window

Parameters = RuleParameters
SAVE_MORE = "name the tensors in a collection of DebugHookConfig, with a save_interval"


class Rule(ABC):
    """Judges what was seen of a training.

    Who owns it: the runner, one rule object per configuration and worker, called on one thread.

    `judge` is a function of its window and the parameters alone: it keeps nothing between two
    calls, reads no clock and no file. Cutting a history into windows must not matter: what it
    finds in two windows that follow each other is what it would find in one over both. So it
    reports what the window's new steps decide, and may read all steps before them.

    A rule is over with its first issue, as SageMaker's are.
    """

    parameters_model: ClassVar[type[RuleParameters]] = RuleParameters
    """Its parameters; a custom rule gives a subclass of `Parameters`."""

    def __init__(self, parameters: RuleParameters | None = None) -> None:
        self.parameters = parameters or self.parameters_model.parse({}, type(self).__name__)

    @classmethod
    def configured(cls, given: Mapping[str, str]) -> Rule:
        """With parameters as strings.

        Raises:
            UsageError: one line per parameter that is unknown, missing or out of bounds.
        """
        return cls(cls.parameters_model.parse(given, cls.__name__))

    @property
    def name(self) -> str:
        """What it is called in requests and findings."""
        return type(self).__name__

    @abstractmethod
    def judge(self, window: Window) -> Sequence[Finding]:
        """What the window's new steps show: issues, and notes on what could not be judged."""

    def tensors(self, window: Window) -> Sequence[str]:
        """The tensors it judges among those that can be seen; all of them where not overridden."""
        return window.names()

    def lacks(self, window: Window) -> Finding | None:
        """What has kept it from judging anything at all, asked once the training has ended."""
        if self.tensors(window):
            return None
        return self.note(window, "no tensor was saved that this rule judges", remedy=SAVE_MORE)

    def issue(self, window: Window, step: int | None, message: str, **about: Any) -> Finding:
        """What the rule looks for was seen at a step.

        Args:
            window: where.
            step: its number over all modes; the finding bears that of its mode. None: no step.
            message: one sentence with the number and the bound.
            about: other fields of `Finding`: `tensor`, `value`, `bound`, `cause`, `remedy`.
        """
        return self._finding("issue", window, step, message, about)

    def note(self, window: Window, message: str, **about: Any) -> Finding:
        """Something that has kept the rule from judging; arguments as those of `issue`."""
        return self._finding("note", window, None, message, about)

    def _finding(
        self, kind: Kind, window: Window, step: int | None, message: str, about: dict[str, Any]
    ) -> Finding:
        seen = None if step is None else window.step(step)
        place: dict[str, Any] = {"step": step}
        if seen is not None and seen.mode is not Mode.GLOBAL:
            place = {"step": seen.mode_step, "mode": seen.mode.name}
        return Finding(
            rule=self.name, kind=kind, message=message, worker=window.worker, **place, **about
        )
