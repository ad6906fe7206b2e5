"""When Hyperband stops a trial: asynchronous successive halving.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), in the form that stops
trials rather than pausing them. Rungs lie at `min_resource` · 3ᵏ epochs; only the best third of
those that have come to a rung go on beyond it. There is one bracket, the one that begins at
`min_resource`, which the paper's authors recommend.
"""

from __future__ import annotations

from collections.abc import Sequence

from clary.errors import UsageError
from clary.tuner.search import Search
from clary.tuner.trials import Trial, losses

REDUCTION = 3


def rungs(min_resource: int, max_resource: int) -> tuple[int, ...]:
    """The epochs at which trials are compared: min_resource · 3ᵏ, all below `max_resource`."""
    found = []
    rung = min_resource
    while rung < max_resource:
        found.append(rung)
        rung *= REDUCTION
    return tuple(found)


def stops_at_rung(search: Search, trial: Trial, trials: Sequence[Trial]) -> bool:
    """Whether a running trial should end at the last rung that it has come to.

    It is compared by the objective that it had on that rung, so that the answer does not depend
    on how many epochs it went on before anybody asked. As more trials come to the rung, the answer
    may turn to True until the trial has reached the next one.

    Args:
        search: one whose strategy is Hyperband.
        trial: the running one, with its curve.
        trials: all trials of the tuning job; those that have come to the rung count, whatever has
            become of them since. The trial itself may be among them.

    Returns:
        True at `max_resource`; before `min_resource`, and while fewer than 3 trials have come to
        the rung, always False.

    Raises:
        UsageError: the search has another strategy.
    """
    if search.strategy != "Hyperband" or search.max_resource is None:
        raise UsageError(f"the strategy {search.strategy} has no rungs: choose Hyperband")
    epochs = len(trial.curve)
    if epochs >= search.max_resource:
        return True
    passed = [
        rung for rung in rungs(search.min_resource or 1, search.max_resource) if rung <= epochs
    ]
    if not passed:
        return False
    rung = passed[-1]
    others = [
        other.curve[rung - 1]
        for other in trials
        if other.number != trial.number and len(other.curve) >= rung
    ]
    mine, *theirs = losses([trial.curve[rung - 1], *others], search.direction)
    better = sum(loss < mine for loss in theirs)
    return len(theirs) + 1 >= REDUCTION and better >= (len(theirs) + 1) // REDUCTION
