"""No combination twice: what has been tried, and what is left of a space that can be counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

from clary.errors import SpaceExhausted
from clary.tuner.ranges import CategoricalRange, Space
from clary.tuner.scaling import Value

# Of a larger space, as many combinations are looked at.
POOL = 2048


class Tried:
    """The combinations of a space that have been tried already, running ones included."""

    def __init__(self, space: Space, combinations: Iterable[Mapping[str, Value]]) -> None:
        self._names = space.names
        self._keys = {self._key(values) for values in combinations if space.contains(values)}

    def _key(self, values: Mapping[str, Value]) -> tuple[Value, ...]:
        return tuple(values[name] for name in self._names)

    def __contains__(self, values: Mapping[str, Value]) -> bool:
        return self._key(values) in self._keys

    def leaves_some(self, space: Space) -> bool:
        """Whether any combination of `space` has not been tried."""
        return space.size is None or len(self._keys) < space.size

    def first_untried(self, space: Space, start: int = 0) -> dict[str, Value]:
        """The first untried combination from number `start` on, and round from the last to 0.

        Raises:
            SpaceExhausted: all have been tried.
        """
        size = space.size
        assert size is not None, "only a space that can be counted has a first combination"
        # One more than were tried must hold an untried one, however large the space is.
        for step in range(min(size, len(self._keys) + 1)):
            values = space.point((start + step) % size)
            if values not in self:
                return values
        raise SpaceExhausted(
            f"all {size} combinations of {', '.join(space.names)} have been tried: widen a range, "
            "or end with the best of them"
        )

    def untried_near(
        self, space: Space, values: Mapping[str, Value], random: Random
    ) -> dict[str, Value]:
        """An untried combination of a countable space as near to `values` as `random` finds one.

        Raises:
            SpaceExhausted: all have been tried.
        """
        size = space.size
        assert size is not None, "a space without end has no need of it"
        some = range(size) if size <= POOL else (random.randrange(size) for _ in range(POOL))
        pool = [point for index in some if (point := space.point(index)) not in self]
        if not pool:
            return self.first_untried(space)
        return min(pool, key=lambda point: (distance(space, point, values), random.random()))


def distance(space: Space, one: Mapping[str, Value], other: Mapping[str, Value]) -> float:
    """How far two combinations of `space` are apart: the sum over their hyperparameters.

    Numbers are as far apart as their positions, at most 1; two different categories are 1 apart.
    """
    total = 0.0
    for range_ in space.ranges:
        first, second = one[range_.name], other[range_.name]
        if isinstance(range_, CategoricalRange):
            total += first != second
        else:
            total += abs(range_.position(first) - range_.position(second))
    return total
