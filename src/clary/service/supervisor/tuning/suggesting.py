"""Asks the tuner for the next trial's hyperparameters, in the engine that fits."""

from __future__ import annotations

from collections.abc import Sequence

from clary.tuner.scaling import Value
from clary.tuner.search import Search, suggest
from clary.tuner.trials import Trial


def next_parameters(
    search: Search,
    trials: Sequence[Trial],
    parents: Sequence[Trial],
    seconds_per_trial: float | None,
) -> dict[str, Value]:
    """What to try after `trials`, which are numbered from 1.

    Raises:
        SpaceExhausted: everything has been tried.
    """
    return suggest(search, trials, len(trials) + 1, parents)
