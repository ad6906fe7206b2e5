"""What a rule judges: what one worker has saved so far, and which part of it is new."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from clary.formats.tensor_log.entries import Mode, Statistics, Step, UnitKind
from clary.rules.source import Series, Source, Tensor

# Of SageMaker's built-in collections, for logs whose hook has not written down what belongs there.
_KNOWN_COLLECTIONS: Mapping[str, str] = {
    "all": "",
    "weights": "^(?!gradient).*weight",
    "biases": "^(?!gradient).*bias",
    "gradients": "^gradient",
    "losses": "[Ll]oss_(?!input).*output",
}
FOREVER = 1 << 62
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Pass:
    """Steps of one mode with none of another between them.

    `decided` is the step at which it was known to be over: the first one after it, or its last
    where the training has ended. None while it goes on.
    """

    mode: Mode
    first: int
    last: int
    decided: int | None


@dataclass(frozen=True)
class Window:
    """A view of a `Source` that does not change while it is judged.

    Steps are numbers over all modes. `first` to `until` can be seen, and those over `after` are
    new. `ended` says that nothing will follow. `now` is the time in seconds since 1970, `began`
    when the rules were started, or awoke from the machine's sleep. `learning` is what the job says
    of itself (`clary.formats.rule_request`). `others` are other runs to compare with.
    """

    source: Source
    after: int = -1
    until: int = FOREVER
    first: int = 0
    ended: bool = False
    now: float = 0.0
    began: float = 0.0
    learning: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Source, ...] = ()

    @property
    def worker(self) -> str:
        """Whose steps these are."""
        return self.source.worker

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps that can be seen, in order."""
        steps = self.source.steps()
        low = bisect_left(steps, self.first, key=lambda step: step.number)
        high = bisect_right(steps, self.until, key=lambda step: step.number)
        return tuple(steps[low:high])

    @cached_property
    def _by_number(self) -> Mapping[int, Step]:
        return {step.number: step for step in self.steps}

    def step(self, number: int) -> Step | None:
        """The step of a number; None where nothing was saved."""
        return self._by_number.get(number)

    def mode(self, number: int) -> Mode:
        """The mode of a step; `GLOBAL` where the script has never said one."""
        step = self.step(number)
        return Mode.GLOBAL if step is None else step.mode

    def remembered(self, question: tuple[str, ...], answer: Callable[[], _Answer]) -> _Answer:
        """What was found out of this window before, so that it is found out once.

        Args:
            question: names the fact.
            answer: finds it out.
        """
        if question not in self._facts:
            self._facts[question] = answer()
        return cast(_Answer, self._facts[question])

    @cached_property
    def _facts(self) -> dict[tuple[str, ...], object]:
        return {}

    def is_training(self, number: int) -> bool:
        """Whether a step can have changed the weights, as far as the script has said."""
        return self.mode(number) not in {Mode.EVAL, Mode.PREDICT}

    def is_new(self, number: int) -> bool:
        """Whether a step is judged in this window and was not before."""
        return self.after < number <= self.until

    def names(
        self, patterns: Sequence[str] = (), collections: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Tensors of which something can be seen, in alphabetical order.

        Args:
            patterns: regular expressions, matched from a name's beginning.
            collections: names of collections; a tensor in one, or of one pattern, is taken. With
                neither patterns nor collections all are.
        """
        asked = (tuple(patterns), tuple(collections))
        if asked not in self._found:
            self._found[asked] = self._find(*asked)
        return self._found[asked]

    @cached_property
    def _found(self) -> dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]:
        return {}

    def _find(self, patterns: tuple[str, ...], collections: tuple[str, ...]) -> tuple[str, ...]:
        matches = [re.compile(pattern).match for pattern in patterns]
        known: set[str] = set()
        for collection in collections:
            record = self.source.collections.get(collection)
            if record is not None:
                known.update(record.tensors)
                matches += [re.compile(pattern).search for pattern in record.include_regex]
            if collection in _KNOWN_COLLECTIONS:
                matches.append(re.compile(_KNOWN_COLLECTIONS[collection]).search)
        every = not patterns and not collections
        return tuple(
            name
            for name in sorted(self.source.names())
            if (every or name in known or any(match(name) for match in matches))
            and self.captured(name)
        )

    def kinds(self, name: str) -> frozenset[str]:
        """What was saved of a tensor: `scalar`, `statistics`, `raw`, and kinds of units."""
        return self.source.kinds(name)

    def captured(self, name: str) -> Sequence[int]:
        """The steps at which something of a tensor was saved, in order."""
        steps = self.source.captured(name)
        return steps[bisect_left(steps, self.first) : bisect_right(steps, self.until)]

    def new(self, name: str) -> Sequence[int]:
        """Of `captured`, those that were not judged before."""
        steps = self.captured(name)
        return steps[bisect_right(steps, self.after) :]

    def series(self, name: str, mode: Mode = Mode.GLOBAL) -> Series:
        """A loss, or the mean of a tensor, at each captured step of a mode; of all for GLOBAL."""
        series = self.source.means(name).between(self.first, self.until)
        if mode is Mode.GLOBAL:
            return series
        return series.where(np.isin(series.steps, self._numbers(mode)))

    def _numbers(self, mode: Mode) -> npt.NDArray[np.int64]:
        return np.array([step.number for step in self.steps if step.mode is mode], dtype=np.int64)

    def statistics(self, name: str, number: int) -> Statistics | None:
        """Of a tensor at a step: as saved, or of the whole tensor that was saved."""
        return self.source.statistics(name, number) if self._sees(number) else None

    def units(self, name: str, kind: UnitKind, number: int) -> npt.NDArray[np.float32] | None:
        """A number per channel or picture; None where the hook has not kept it."""
        return self.source.units(name, kind, number) if self._sees(number) else None

    def raw(self, name: str, number: int) -> Tensor | None:
        """The whole tensor; None where it was not saved."""
        return self.source.raw(name, number) if self._sees(number) else None

    def _sees(self, number: int) -> bool:
        return self.first <= number <= self.until

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """The steps, cut where the mode changes: epochs of training and of validation."""
        passes: list[Pass] = []
        start = 0
        for place, step in enumerate(self.steps):
            following = self.steps[place + 1] if place + 1 < len(self.steps) else None
            if following is not None and following.mode is step.mode:
                continue
            over = following.number if following is not None else None
            if following is None and self.ended:
                over = step.number
            passes.append(Pass(step.mode, self.steps[start].number, step.number, over))
            start = place + 1
        return tuple(passes)

    def is_decided_now(self, one: Pass) -> bool:
        """Whether a pass is over and no window before this one has seen that."""
        if one.decided is None:
            return False
        return self.is_new(one.decided) or (self.ended and one.decided == one.last)
