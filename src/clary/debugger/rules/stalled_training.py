"""A training that writes nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window

# A training whose captures are far apart anyway stalls when it is late by so many times that.
_LATE = 3.0


class StalledTrainingRule(Rule):
    """No tensor was saved for `threshold` seconds.

    Unless `published_defaults` is asked for, also for three times the longest time that has passed
    between two captures: rare captures are no stalled training.
    """

    parameters_model = rule_parameters.StalledTrainingRule
    parameters: rule_parameters.StalledTrainingRule

    def lacks(self, window: Window) -> Finding | None:
        """Nothing: that there is no tensor is what it judges."""
        return None

    def judge(self, window: Window) -> Sequence[Finding]:
        """Compare the time with that of the newest capture."""
        if window.ended:
            return []
        times = [step.at for step in window.steps]
        last = max([*times, window.began])
        bound = self.parameters.threshold
        if not self.parameters.published_defaults:
            gaps = (later - earlier for earlier, later in pairwise(times))
            bound = max(bound, _LATE * max(gaps, default=0.0))
        silent = window.now - last
        if silent <= bound:
            return []
        step = window.steps[-1].number if window.steps else None
        since = "the start" if step is None else f"step {step}"
        return [
            self.issue(
                window,
                step,
                f"no tensor was saved for {silent:.0f} s, since {since}, where {bound:.0f} s may "
                "be",
                value=silent,
                bound=bound,
                cause="the training hangs (a data loader, a lock, another host), does something "
                "else, or saves tensors more rarely than that",
                remedy="look at the job's log and at what its processes do (py-spy dump), and give "
                "a larger threshold or a smaller save_interval if it works",
            )
        ]
