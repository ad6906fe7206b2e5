"""Steps by their number over all modes, and by their number within one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from clary.errors import StepNotYetAvailable, StepUnavailable
from clary.formats.tensor_log import ALWAYS, Span
from clary.formats.tensor_log.entries import Mode, Step

_Value = TypeVar("_Value")


class StepIndex:
    """The steps of a history as they are at one moment; never changed.

    Args:
        steps: in the order of their numbers.
        ended: whether no more is to come.
    """

    def __init__(self, steps: Iterable[Step], *, ended: bool) -> None:
        self._steps = {step.number: step for step in steps}
        self._ended = ended
        self._numbers = {(step.mode, step.mode_step): n for n, step in self._steps.items()}
        self._numbers.update({(Mode.GLOBAL, number): number for number in self._steps})

    def at(self, number: int) -> Step:
        """The step of a number over all modes; raises as `number_of` does."""
        return self._steps[self.number_of(Mode.GLOBAL, number)]

    def number_of(self, mode: Mode, mode_step: int) -> int:
        """The number over all modes of a step within its mode.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        number = self._numbers.get((mode, mode_step))
        if number is not None:
            return number
        last = max((held for of, held in self._numbers if of is mode), default=-1)
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
        if numbers is None:
            numbers = (number for number in self._steps if span.touches(number, number))
        return tuple(self.by_mode(dict.fromkeys(numbers), mode))

    def by_mode(self, found: Mapping[int, _Value], mode: Mode) -> Mapping[int, _Value]:
        """What stands by number over all modes, by step within one, in order."""
        if mode is Mode.GLOBAL:
            return {number: found[number] for number in sorted(found)}
        steps = (self._steps[number] for number in sorted(found))
        return {step.mode_step: found[step.number] for step in steps if step.mode is mode}
