"""What one worker has saved, as rules read it: its part of a history, read once and kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clary.debugger.history import History
from clary.errors import HistoryError
from clary.formats.tensor_log import Names
from clary.formats.tensor_log.entries import (
    CollectionRecord,
    Mode,
    Statistics,
    Step,
    UnitKind,
)
from clary.rules.source import Series, Tensor

# Statistics are read for so many steps at once, and kept for so many of each tensor.
_AHEAD = 256
_KEPT = 1024


@dataclass
class _Growing:
    """The mean of a tensor by step, as far as it was read."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    series: Series | None = None


class Recorded:
    """A `clary.rules.source.Source` over a history; owned and used by one thread.

    It shows what the history showed when it was made, or when `update` was last called.
    """

    def __init__(self, history: History, worker: str, label: str | None = None) -> None:
        """Read.

        Args:
            history: of any number of workers.
            worker: which of them.
            label: what to call it, where several hosts have workers of the same name.
        """
        self._history = history
        self._worker = worker
        self._label = label or worker
        self._steps: list[Step] = []
        self._names: Mapping[str, Names] = {}
        self._captured: dict[str, list[int]] = {}
        self._means: dict[str, _Growing] = {}
        self._statistics: dict[str, dict[int, Statistics]] = {}
        self.update()

    def update(self) -> None:
        """Take in what a refresh of the history has brought.

        Raises:
            FormatError: a file is damaged or gone.
        """
        held = self._history.names().items()
        self._names = {name: about for name, about in held if self._worker in about.workers}
        fresh: set[int] = set()
        for name, about in self._names.items():
            captured = self._captured.setdefault(name, [])
            last = captured[-1] if captured else -1
            if about.last_step <= last:
                continue
            new = self._history.steps(Mode.GLOBAL, name, self._worker, after=last)
            captured += new
            fresh.update(new)
        known = self._steps[-1].number if self._steps else -1
        self._steps += [self._history.at(number) for number in sorted(fresh) if number > known]
        for growing in self._means.values():
            growing.series = None

    @property
    def worker(self) -> str:
        """The worker's name, with its host where there are several."""
        return self._label

    @property
    def collections(self) -> Mapping[str, CollectionRecord]:
        """Collections as the hook was configured."""
        return self._history.collections

    def steps(self) -> Sequence[Step]:
        """All steps at which something was saved, in order."""
        return self._steps

    def names(self) -> Sequence[str]:
        """All tensors of which something was saved."""
        return tuple(self._names)

    def kinds(self, name: str) -> frozenset[str]:
        """What was saved of a tensor; see `clary.formats.tensor_log.Names`."""
        return self._names[name].kinds if name in self._names else frozenset()

    def captured(self, name: str) -> Sequence[int]:
        """The steps at which something of a tensor was saved, in order."""
        return self._captured.get(name, ())

    def means(self, name: str) -> Series:
        """The mean of a tensor at each captured step; of a scalar, its value."""
        growing = self._means.setdefault(name, _Growing())
        if growing.series is None:
            last = growing.steps[-1] if growing.steps else -1
            if self._captured.get(name, ())[-1:] != [last]:
                self._read_means(name, growing, last)
            growing.series = Series(
                np.array(growing.steps, dtype=np.int64), np.array(growing.values, dtype=np.float64)
            )
        return growing.series

    def _read_means(self, name: str, growing: _Growing, last: int) -> None:
        found = dict(self._history.scalars(name, worker=self._worker, after=last))
        for number, statistics in self._history.statistics(
            name, worker=self._worker, after=last
        ).items():
            mean = statistics.mean
            if statistics.nans:
                mean = np.nan
            elif statistics.infs:
                mean = np.inf
            if number not in found and mean is not None:
                found[number] = mean
        for number in sorted(found):
            growing.steps.append(number)
            growing.values.append(found[number])

    def statistics(self, name: str, step: int) -> Statistics | None:
        """Of a tensor at a step: as saved, or of the whole tensor or scalar that was saved."""
        kept = self._statistics.setdefault(name, {})
        if step not in kept:
            captured = self._captured.get(name, [])
            place = bisect_left(captured, step)
            if place == len(captured) or captured[place] != step:
                return None
            until = captured[min(place + _AHEAD, len(captured)) - 1]
            if len(kept) > _KEPT:
                # Whoever asks walks on from here; what is asked for again is read again.
                kept.clear()
            kept.update(
                self._history.statistics(name, worker=self._worker, after=step - 1, until=until)
            )
        return kept.get(step)

    def units(self, name: str, kind: UnitKind, step: int) -> npt.NDArray[np.float32] | None:
        """A number per channel or picture; None where the hook has not kept it."""
        if kind not in self.kinds(name):
            return None
        found = self._history.units(name, kind, worker=self._worker, after=step - 1, until=step)
        return found.get(step)

    def raw(self, name: str, step: int) -> Tensor | None:
        """The whole tensor, a scalar as one without dimensions; None where it was not saved."""
        if not self.kinds(name) & {"raw", "scalar"}:
            return None
        try:
            return self._history.value(name, step, worker=self._worker)
        except HistoryError:
            return None


class Nothing:
    """A `clary.rules.source.Source` of a training that has saved nothing yet."""

    worker = ""
    collections: Mapping[str, CollectionRecord] = {}

    def steps(self) -> Sequence[Step]:
        """None."""
        return ()

    def names(self) -> Sequence[str]:
        """None."""
        return ()

    def kinds(self, name: str) -> frozenset[str]:
        """None."""
        return frozenset()

    def captured(self, name: str) -> Sequence[int]:
        """None."""
        return ()

    def means(self, name: str) -> Series:
        """None."""
        return Series(np.zeros(0, dtype=np.int64), np.zeros(0))

    def statistics(self, name: str, step: int) -> Statistics | None:
        """None."""
        return None

    def units(self, name: str, kind: UnitKind, step: int) -> npt.NDArray[np.float32] | None:
        """None."""
        return None

    def raw(self, name: str, step: int) -> Tensor | None:
        """None."""
        return None
