"""Which steps and names a history holds, within a range of steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from clary.debugger.history import History
from clary.errors import HistoryError
from clary.formats.tensor_log.entries import Mode


class SeenSteps:
    """What a trial has seen; owned by it. Computed when first asked for after `forget`."""

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
        self._workers: dict[str, dict[int, list[str]]] = {}
        self._scalars: dict[tuple[str, str], Mapping[int, float]] = {}

    def forget(self) -> None:
        """There is new data."""
        self._complete = None
        self._names = None
        self._workers.clear()
        self._scalars.clear()

    def steps(
        self, mode: Mode, name: str | None = None, worker: str | None = None, *, incomplete: bool
    ) -> list[int]:
        """Steps of a mode in order; those that some worker has not saved yet, if `incomplete`."""
        found = self._history.steps(mode, name, worker)
        bound = None if incomplete else self.last_complete()
        return [step for step in found if self._counts(mode, step, bound)]

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
        if name not in self._workers:
            found: dict[int, list[str]] = {}
            for worker in self._history.workers:
                for step in self._history.steps(Mode.GLOBAL, name, worker):
                    found.setdefault(step, []).append(worker)
            self._workers[name] = found
        return self._workers[name].get(number, [])

    def scalar(self, name: str, number: int, worker: str) -> float | None:
        """The number that was saved under a name at a step over all modes; None for a tensor."""
        key = name, worker
        if key not in self._scalars:
            # All at once: notebooks ask for one step after another.
            self._scalars[key] = self._history.scalars(name, Mode.GLOBAL, worker)
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
                self._complete = max(self._history.steps(), default=-1)
            else:
                self._complete = min(self._last_of(worker) for worker in workers)
        return self._complete

    def _last_of(self, worker: str) -> int:
        held = (name for name, of in self._history.names().items() if worker in of.workers)
        steps = (self._history.steps(Mode.GLOBAL, name, worker) for name in held)
        return max((one[-1] for one in steps if one), default=-1)

    def _counts(self, mode: Mode, step: int, bound: int | None) -> bool:
        if bound is None and self._first < 0 and self._end is None:
            return True
        number = self._history.step_of(mode, step)
        return (
            number >= self._first
            and (self._end is None or number < self._end)
            and (bound is None or number <= bound)
        )
