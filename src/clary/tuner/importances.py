"""How much each hyperparameter mattered: functional analysis of variance.

Hutter, Hoos, Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance" (2014):
a random forest is fitted to the trials, and the share of its variance over the whole space that
one hyperparameter explains alone is that one's importance.
"""

from __future__ import annotations

from collections.abc import Sequence

from clary.tuner.observations import Observation
from clary.tuner.ranges import CategoricalRange, ContinuousRange, Range, Space
from clary.tuner.scaling import Value
from clary.tuner.strategies import studies
from clary.tuner.trials import Direction, Trial, succeeded

# Fewer trials say nothing about what mattered.
MIN_TRIALS = 4


def importances(space: Space, direction: Direction, trials: Sequence[Trial]) -> dict[str, float]:
    """The share of each hyperparameter in what can be explained by one alone.

    Imports Optuna and scikit-learn, and takes some tenths of a second.

    Args:
        space: every point of it counts alike, each range on its scale.
        direction: which way the objective is better.
        trials: those without a finite objective, or outside the space, are left out.

    Returns:
        Shares between 0 and 1, by hyperparameter, largest first; their sum is 1. Empty if fewer
        than 4 trials are left or all have the same objective.
    """
    found = [(t, loss) for t, loss in succeeded(trials, direction) if space.contains(t.parameters)]
    if len(found) < MIN_TRIALS or len({loss for _, loss in found}) == 1:
        return {}
    positions = Space(tuple(_unit(range_) for range_ in space.ranges))
    observations = [
        Observation({r.name: _place(r, trial.parameters[r.name]) for r in space.ranges}, loss, True)
        for trial, loss in found
    ]
    from optuna.importance import FanovaImportanceEvaluator

    shares = FanovaImportanceEvaluator(seed=0).evaluate(studies.build(positions, observations))
    total = sum(shares.values())
    if not total > 0:
        return {}
    every = {name: float(shares.get(name, 0.0) / total) for name in space.names}
    return dict(sorted(every.items(), key=lambda share: -share[1]))


def _unit(range_: Range) -> Range:
    """The range of what `_place` gives."""
    if isinstance(range_, CategoricalRange) or range_.size == 1:
        return range_
    return ContinuousRange(range_.name, 0.0, 1.0, "Linear")


def _place(range_: Range, value: Value) -> Value:
    return value if isinstance(range_, CategoricalRange) else range_.position(value)
