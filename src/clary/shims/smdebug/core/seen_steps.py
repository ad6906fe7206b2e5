"""Which steps and names a history holds, within a range of steps."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar

from clary.debugger.history import History
from clary.errors import HistoryError
from clary.formats.tensor_log.entries import Mode

_Value = TypeVar("_Value")


class SeenSteps:
    """What a trial has seen; owned by it. Looked up when first asked for after `forget`.

    What stands by names is kept then, and only what came later is asked for: logs grow at their
    end, a worker's last step apart, to which more may be added.
    """

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
        self._saved: dict[tuple[str, str], dict[int, None]] = {}
        self._scalars: dict[tuple[str, str], dict[int, float]] = {}
        self._fresh: set[tuple[str, str, str]] = set()

    def forget(self) -> None:
        """There is new data."""
        self._complete = None
        self._names = None
        self._steps.clear()
        self._fresh.clear()

    def steps(
        self, mode: Mode, name: str | None = None, worker: str | None = None, *, incomplete: bool
    ) -> Sequence[int]:
        """Steps of a mode in order; those that some worker has not saved yet, if `incomplete`."""
        key = mode, name, worker, incomplete
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
        return [worker for worker in self._history.workers if number in self._held(name, worker)]

    def scalar(self, name: str, number: int, worker: str) -> float | None:
        """The number that was saved under a name at a step over all modes; None for a tensor."""
        # All at once: notebooks ask for one step after another.
        held = self._scalars.setdefault((name, worker), {})
        if self._is_stale("scalars", name, worker):
            held.update(self._history.scalars(name, Mode.GLOBAL, worker, after=_before(held)))
        return held.get(number)

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
                self._complete = min(self._last_of(worker) for worker in workers)
        return self._complete

    def _last_of(self, worker: str) -> int:
        held = (name for name, of in self._history.names().items() if worker in of.workers)
        return max((_last(self._held(name, worker)) for name in held), default=-1)

    def _held(self, name: str, worker: str) -> dict[int, None]:
        held = self._saved.setdefault((name, worker), {})
        if self._is_stale("steps", name, worker):
            later = self._history.steps(Mode.GLOBAL, name, worker, after=_before(held))
            held.update(dict.fromkeys(later))
        return held

    def _is_stale(self, what: str, name: str, worker: str) -> bool:
        key = what, name, worker
        stale = key not in self._fresh
        self._fresh.add(key)
        return stale

    def _counted(self, found: Sequence[int], mode: Mode, *, incomplete: bool) -> Sequence[int]:
        number = partial(self._history.step_of, mode)
        begin = 0 if self._first < 0 else bisect_left(found, self._first, key=number)
        end = len(found) if self._end is None else bisect_left(found, self._end, key=number)
        if not incomplete:
            end = min(end, bisect_right(found, self.last_complete(), key=number))
        return found[begin:end]


def _last(held: dict[int, _Value]) -> int:
    return next(reversed(held)) if held else -1


def _before(held: dict[int, _Value]) -> int:
    """The step behind which more may have come."""
    return _last(held) - 1 if held else -1
