"""Walks the new steps of a window in order, tensor by tensor, and stops at the first offence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clary.rules.window import Window


@dataclass(frozen=True)
class Offence:
    """A tensor's number at a step that is out of its bound."""

    name: str
    step: int
    value: float
    bound: float
    also: tuple[str, ...] = ()
    """Other tensors that offend at the same step."""

    def and_others(self) -> str:
        """Words for a sentence: how many more offend, with some of their names."""
        if not self.also:
            return ""
        shown = ", ".join(self.also[:2])
        more = ", …" if len(self.also) > 2 else ""
        so = "so does 1 other tensor" if len(self.also) == 1 else f"so do {len(self.also)} others"
        return f"; {so} ({shown}{more})"


Measure = Callable[[str, int], tuple[float, float] | None]


def first_offence(
    window: Window,
    names: Sequence[str],
    measure: Measure,
    worst: Callable[[Offence], float],
    steps_of: Callable[[str], Sequence[int]] | None = None,
) -> Offence | None:
    """The worst offence at the earliest new step that has one.

    Args:
        window: what to walk through.
        names: the tensors.
        measure: takes a tensor and a step, gives value and bound of an offence, None without one.
        worst: orders the offences of a step; the smallest is told.
        steps_of: the steps of a tensor to walk through; all that were captured where not given.
    """
    steps = steps_of or window.captured
    places = sorted((step, name) for name in names for step in _to_judge(window, steps(name)))
    found: list[Offence] = []
    for step, name in places:
        if found and step > found[0].step:
            break
        measured = measure(name, step)
        if measured is not None:
            found.append(Offence(name, step, *measured))
    if not found:
        return None
    first, *rest = sorted(found, key=worst)
    return Offence(
        first.name, first.step, first.value, first.bound, tuple(one.name for one in rest)
    )


def _to_judge(window: Window, steps: Sequence[int]) -> Sequence[int]:
    """The new ones; the last of all once more when the training has ended, which may decide."""
    new = steps[bisect_right(steps, window.after) :]
    return steps[-1:] if window.ended and not new else new


def checkpoints(count: int, growth: float = 1.1) -> list[int]:
    """Which of so many values are worth a look at all before them, counted from 1.

    Every one at first, then at growing distances, so that all looks together cost little more than
    one.
    """
    points: list[int] = []
    point = 1
    while point <= count:
        points.append(point)
        point = max(point + 1, int(point * growth))
    return points
