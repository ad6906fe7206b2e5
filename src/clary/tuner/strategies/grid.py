"""Grid: every combination of listed values once, the last hyperparameter's values going fastest."""

from __future__ import annotations

from clary.errors import UsageError
from clary.tuner.novelty import Tried
from clary.tuner.ranges import CategoricalRange, Space
from clary.tuner.scaling import Value


def check_grid(space: Space, max_trials: int | None) -> None:
    """Make sure that a grid can be made of `space`, as SageMaker asks.

    Raises:
        UsageError: a range does not list its values, or `max_trials` is not their product.
    """
    for range_ in space.ranges:
        if not isinstance(range_, CategoricalRange):
            raise UsageError(
                f"the strategy Grid tries listed values only, but {range_.name} has a range of "
                f"numbers: list values ({range_.name}=A,B,C) or choose another strategy"
            )
    if max_trials is not None and max_trials != space.size:
        raise UsageError(
            f"a grid of {space.size} combinations cannot be tried in {max_trials} trials: ask for "
            f"{space.size} trials, or leave their number out"
        )


def propose(space: Space, tried: Tried) -> dict[str, Value]:
    """The first combination that has not been tried.

    Raises:
        SpaceExhausted: all have been.
    """
    return tried.first_untried(space)
