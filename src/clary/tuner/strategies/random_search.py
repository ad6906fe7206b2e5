"""Random: every hyperparameter is drawn evenly on its scale, whatever was found so far."""

from __future__ import annotations

from random import Random

from clary.tuner.ranges import Space
from clary.tuner.scaling import Value


def propose(space: Space, random: Random) -> dict[str, Value]:
    """A combination that depends on `random` alone."""
    return {range_.name: range_.at(random.random()) for range_ in space.ranges}
