"""Which steps and names a history holds, within a range of steps."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

from clary.debugger.history import History
from clary.errors import HistoryError
from clary.formats.tensor_log.entries import Mode

from .modes import checked_mode

_Value = TypeVar("_Value")


class SeenSteps:
    """What a trial has seen; owned by it. Looked up when first asked for after `forget`."""

    def __init__(
        self, history: History, within: tuple[int | None, int | None] | None = None
    ) -> None:
        first, end = within or (None, None)
        if first is not None and end is not None and end <= first:
            raise ValueError(f"range_steps is {within}: its end must be behind its beginning")
        self._history = history
        self._first = -1 if first is None else first
        self._end = end
        self._complete: int | None = None
        self._names: frozenset[str] | None = None
        self._steps: dict[tuple[Mode, str | None, str | None, bool], Sequence[int]] = {}
        self._saved: dict[tuple[str, str], _Growing[int]] = {}
        self._scalars: dict[tuple[str, str], _Growing[float]] = {}

    def forget(self) -> None:
        """There is new data."""
        self._complete = None
        self._names = None
        self._steps.clear()
        for saved in self._saved.values():
            saved.more_may_be_there()
        for scalars in self._scalars.values():
            scalars.more_may_be_there()

    def steps(
        self, mode: Mode, name: str | None = None, worker: str | None = None, *, incomplete: bool
    ) -> Sequence[int]:
        """Steps of a mode in order; those that some worker has not saved yet, if `incomplete`.

        Raises:
            SMDebugValueError: the mode is none.
        """
        key = checked_mode(mode), name, worker, incomplete
        if key not in self._steps:
            found = self._history.steps(mode, name, worker)
            self._steps[key] = self._counted(found, mode, incomplete=incomplete)
        return self._steps[key]

    def number_of(self, mode: Mode, mode_step: int) -> int | None:
        """The number over all modes of a step; None where nothing was saved."""
        try:
            return self._history.step_of(mode, mode_step)
        except HistoryError:
            return None

    def modes(self) -> list[Mode]:
        """The modes of which there is any step."""
        each = (Mode.TRAIN, Mode.EVAL, Mode.PREDICT)
        return [mode for mode in each if self.steps(mode, incomplete=True)]

    def has(self, name: str) -> bool:
        """Whether anything was saved under a name."""
        return name in self.names()

    def workers_at(self, name: str, number: int) -> list[str]:
        """Who has saved a tensor at a step over all modes."""
        workers = self._history.workers
        return [one for one in workers if self._steps_of(name, one).get(number) is not None]

    def scalar(self, name: str, number: int, worker: str) -> float | None:
        """The number that was saved under a name at a step over all modes; None for a tensor."""
        key = name, worker
        if key not in self._scalars:

            def ask(after: int) -> Mapping[int, float]:
                return self._history.scalars(name, Mode.GLOBAL, worker, after=after)

            self._scalars[key] = _Growing(ask)
        return self._scalars[key].get(number)

    def names(self) -> frozenset[str]:
        """All names."""
        if self._names is None:
            found = self._history.names()
            whole = self._first < 0 and self._end is None
            self._names = frozenset(
                name for name in found if whole or self.steps(Mode.GLOBAL, name, incomplete=True)
            )
        return self._names

    def names_at(self, step: int | None, mode: Mode) -> Iterable[str]:
        """The names of a step, or of a mode; none where there is no such step."""
        if step is None and mode is Mode.GLOBAL:
            return self.names()
        if step is not None and self.number_of(mode, step) is None:
            return ()
        return self.names() & set(self._history.names(step=step, mode=mode))

    def matching(self, expressions: Iterable[str]) -> set[str]:
        """The names in which one of several expressions is found."""
        patterns = [re.compile(expression) for expression in expressions]
        return {name for name in self.names() if any(one.search(name) for one in patterns)}

    def last_complete(self) -> int:
        """The last step over all modes that every worker has saved, or passed; -1 without one."""
        if self._complete is None:
            workers = self._history.workers
            if self._history.ended or len(workers) <= 1:
                steps = self._history.steps()
                self._complete = steps[-1] if steps else -1
            else:
                self._complete = min(self._history.last_step(worker) for worker in workers)
        return self._complete

    def _steps_of(self, name: str, worker: str) -> _Growing[int]:
        key = name, worker
        if key not in self._saved:

            def ask(after: int) -> Mapping[int, int]:
                found = self._history.steps(Mode.GLOBAL, name, worker, after=after)
                return dict(zip(found, found, strict=True))

            self._saved[key] = _Growing(ask)
        return self._saved[key]

    def _counted(self, found: Sequence[int], mode: Mode, *, incomplete: bool) -> Sequence[int]:
        number = partial(self._history.step_of, mode)
        begin = 0 if self._first < 0 else bisect_left(found, self._first, key=number)
        end = len(found) if self._end is None else bisect_left(found, self._end, key=number)
        if not incomplete:
            end = min(end, bisect_right(found, self.last_complete(), key=number))
        return found[begin:end]


class _Growing(Generic[_Value]):
    """Answers by step over all modes that grow with a log: what is there is not asked for again.

    Logs grow at their end, but a piece may come after a later one.

    Args:
        ask: for all answers behind a step.
    """

    def __init__(self, ask: Callable[[int], Mapping[int, _Value]]) -> None:
        self._ask = ask
        self._held: dict[int, _Value] = {}
        self._last = -1
        self._asked_after: int | None = None

    def more_may_be_there(self) -> None:
        """There is new data."""
        self._asked_after = None

    def get(self, number: int) -> _Value | None:
        """The answer of a step; None where there is none."""
        # To the last step more may be added.
        if number >= self._last or number not in self._held:
            self._look(min(number, self._last) - 1)
        return self._held.get(number)

    def _look(self, after: int) -> None:
        # All at once, the first time: notebooks ask for one step after another.
        after = max(after, -1)
        if self._asked_after is None or after < self._asked_after:
            self._asked_after = after
            found = self._ask(after)
            self._held.update(found)
            self._last = max(self._last, max(found, default=-1))
