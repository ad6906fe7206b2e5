"""Steps by their number over all modes, and by their number within one."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from typing import TypeVar

from clary.errors import StepNotYetAvailable, StepUnavailable
from clary.formats.tensor_log import ALWAYS, Span
from clary.formats.tensor_log.entries import Mode, Step

_Value = TypeVar("_Value")


class StepIndex:
    """The steps of a history. Taking in further ones costs nothing for those it has."""

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}
        # By mode: numbers over all modes in order, and the number of each step within the mode.
        self._ordered: dict[Mode, list[int]] = {mode: [] for mode in Mode}
        self._numbers: dict[Mode, dict[int, int]] = {mode: {} for mode in Mode}
        self._last: dict[Mode, int] = dict.fromkeys(Mode, -1)
        self._ended = False

    def __len__(self) -> int:
        return len(self._steps)

    def extend(self, steps: Iterable[Step], *, ended: bool) -> None:
        """Take in further steps, in any order; one that is there already stays as it is.

        Args:
            steps: not seen before.
            ended: whether no more is to come.
        """
        self._ended = ended
        for step in steps:
            if step.number in self._steps:
                continue
            self._steps[step.number] = step
            self._insert(Mode.GLOBAL, step.number, step.number)
            if step.mode is not Mode.GLOBAL:
                self._insert(step.mode, step.mode_step, step.number)

    def at(self, number: int) -> Step:
        """The step of a number over all modes.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        return self._steps[self.number_of(Mode.GLOBAL, number)]

    def number_of(self, mode: Mode, mode_step: int) -> int:
        """The number over all modes of a step within its mode.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        number = self._numbers[mode].get(mode_step)
        if number is not None:
            return number
        last = self._last[mode]
        where = f"step {mode_step} of {mode.name}"
        if self._ended or last > mode_step:
            raise StepUnavailable(
                f"{where} was not saved; the last one saved is {last}: choose one of steps()"
            )
        raise StepNotYetAvailable(f"{where} is not there yet, the last one is {last}: ask again")

    def within(
        self, mode: Mode, numbers: Iterable[int] | None = None, *, span: Span = ALWAYS
    ) -> tuple[int, ...]:
        """Steps of a mode by their number within it: some, or all of a span."""
        if numbers is not None:
            return tuple(self.by_mode(dict.fromkeys(numbers), mode))
        ordered = self._ordered[mode]
        found = ordered[bisect_right(ordered, span.after) : bisect_right(ordered, span.until)]
        if mode is Mode.GLOBAL:
            return tuple(found)
        return tuple(dict.fromkeys(self._steps[number].mode_step for number in found))

    def by_mode(self, found: Mapping[int, _Value], mode: Mode) -> Mapping[int, _Value]:
        """What stands by number over all modes, by step within one, in order."""
        if mode is Mode.GLOBAL:
            return {number: found[number] for number in sorted(found)}
        steps = (self._steps[number] for number in sorted(found))
        return {step.mode_step: found[step.number] for step in steps if step.mode is mode}

    def _insert(self, mode: Mode, mode_step: int, number: int) -> None:
        ordered, numbers = self._ordered[mode], self._numbers[mode]
        if not ordered or number > ordered[-1]:
            ordered.append(number)
        else:
            insort(ordered, number)
        numbers[mode_step] = max(number, numbers.get(mode_step, -1))
        self._last[mode] = max(mode_step, self._last[mode])
