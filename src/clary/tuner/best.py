"""Which trial won."""

from __future__ import annotations

from collections.abc import Sequence

from clary.tuner.trials import Direction, Trial, succeeded


def best(trials: Sequence[Trial], direction: Direction) -> Trial | None:
    """The succeeded trial with the best finite objective, the earlier one among equals."""
    scored = succeeded(trials, direction)
    return min(scored, key=lambda pair: (pair[1], pair[0].number))[0] if scored else None
