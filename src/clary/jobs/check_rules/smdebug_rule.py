"""Lets a rule that was written for SageMaker's library judge, step by step, as that one does."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from clary.formats.findings import Finding
from clary.formats.rule_request import RuleConfiguration
from clary.rules.runner import Now
from clary.rules.source import Source


def is_smdebug_rule(loaded: object) -> bool:
    """Whether it is a class derived from `smdebug.rules.rule.Rule`."""
    return isinstance(loaded, type) and any(
        base.__module__.split(".")[0] == "smdebug" for base in loaded.__mro__
    )


class SmdebugJudge:
    """A custom rule over a trial; owned by one thread.

    Steps at which a tensor is missing are left out, as SageMaker does.
    """

    def __init__(self, rule: Any, configuration: RuleConfiguration, tensors: Path) -> None:
        """Make the rule; its constructor may raise whatever it wants.

        Args:
            rule: the class; it takes `base_trial`, its parameters as strings, and `other_trials`
                where the configuration names any.
            configuration: what is asked for.
            tensors: the folder of the first host.
        """
        self._class = rule
        self._configuration = configuration
        self._tensors = tensors
        self._rule: Any = None
        self._trial: Any = None
        self._seen: set[int] = set()
        self.fired: Finding | None = None
        self.fired_step: int | None = None
        self.judged = 0
        self.last_step: int | None = None
        first, last = (configuration.parameters.get(key) for key in ("start_step", "end_step"))
        self._first, self._end = int(first or 0), None if last is None else int(last)

    def look(self, seen: Sequence[Source], now: Now) -> list[Finding]:
        """Judge the steps that are new."""
        steps = sorted({step.number for source in seen for step in source.steps()})
        if not steps or self.fired is not None:
            return []
        if self._rule is None:
            self._make()
        # The name belongs to the shims, which stand ahead on the path of this process.
        exceptions = import_module("smdebug.exceptions")
        for step in steps:
            if step in self._seen or step < self._first or now.is_over():
                continue
            if self._end is not None and step >= self._end:
                break
            try:
                self._rule.invoke(step)
            except exceptions.RuleEvaluationConditionMet as met:
                return [self._fire(step, met)]
            except exceptions.StepNotYetAvailable:
                break
            except (
                exceptions.StepUnavailable,
                exceptions.TensorUnavailable,
                exceptions.TensorUnavailableForStep,
            ):
                self._seen.add(step)
                continue
            except exceptions.NoMoreData:
                break
            self._seen.add(step)
            self.judged += 1
            self.last_step = step
        return []

    def lacks(self, seen: Sequence[Source], now: Now) -> Finding | None:
        """A step with all tensors that the rule asks for."""
        if self.judged or self.fired is not None:
            return None
        return Finding(
            rule=self._configuration.rule,
            kind="note",
            message="no step was saved with all tensors that the rule asks for",
            remedy="name its tensors in a collection of DebugHookConfig, with a save_interval",
        )

    def _make(self) -> None:
        create_trial = import_module("smdebug.trials").create_trial
        self._trial = create_trial(str(self._tensors))
        parameters: dict[str, Any] = dict(self._configuration.parameters)
        accepted = inspect.signature(self._class.__init__).parameters
        for own in ("start_step", "end_step"):
            if own not in accepted:
                parameters.pop(own, None)
        if self._configuration.others:
            parameters["other_trials"] = [create_trial(one) for one in self._configuration.others]
        self._rule = self._class(base_trial=self._trial, **parameters)

    def _fire(self, step: int, met: Exception) -> Finding:
        self.judged += 1
        self.last_step = self.fired_step = step
        said = getattr(met, "message", None) or str(met)
        self.fired = Finding(
            rule=self._configuration.rule, kind="issue", message=str(said).strip(), step=step
        )
        return self.fired
