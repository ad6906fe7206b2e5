"""What was saved of a training, as notebooks and rules ask for it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import numpy as np

from clary import errors
from clary.debugger.history import History
from clary.formats.tensor_log.layout import TRAINING_END

from ..core.collection import Collection, recorded_collections
from ..core.logger import get_logger
from ..core.modes import ModeKeys
from ..core.seen_steps import SeenSteps
from ..core.tensor import StepState, Tensor
from ..exceptions import NoMoreData, StepUnavailable, TensorUnavailable

_POLL_SECONDS = 0.5


class Trial:
    """Reads one training, while it runs too; owned and used by one thread at a time.

    Each question looks for new data first, unless the training's job has ended or
    `dynamic_refresh` is off. Steps are numbers within a mode; GLOBAL, the default, counts all
    modes together.

    Args:
        history: what is read.
        name: shown to people.
        path: where it is, shown too.
        range_steps: the first step that counts, and the one before which it ends, over all modes;
            None leaves an end open.
    """

    def __init__(
        self,
        history: History,
        name: str = "",
        path: str = "",
        range_steps: tuple[int | None, int | None] | None = None,
    ) -> None:
        self.history = history
        self.name = name
        self.path = path
        self.range_steps = range_steps
        self.logger = get_logger()
        self.dynamic_refresh = True
        self.seen = SeenSteps(history, range_steps)
        self._made: dict[str, Collection] = {}
        self._recorded: dict[str, Collection] | None = None
        self._is_over = False

    @property
    def loaded_all_steps(self) -> bool:
        """Whether the training has ended, and all that it has saved is here.

        A job may begin another one, where one hook follows another; then this is false again.
        """
        return self.history.ended

    @property
    def num_workers(self) -> int:
        """How many processes have saved something."""
        return max(1, len(self.history.workers))

    @property
    def last_complete_step(self) -> int:
        """The last step, over all modes, that all workers have saved; -1 before the first."""
        return self.seen.last_complete()

    def refresh_data(self) -> None:
        """Look for new data."""
        if self._is_over:
            return
        # Asked first: what is read after it is then the whole.
        told = (self.history.folder / TRAINING_END).exists()
        if self.history.refresh():
            self.seen.forget()
            self._recorded = None
        self._is_over = told and self.history.ended

    def maybe_refresh(self, name: str | None = None) -> None:
        """Look for new data, unless `dynamic_refresh` is off; of all tensors, whatever `name`."""
        if self.dynamic_refresh:
            self.refresh_data()

    def tensor_names(
        self,
        show_prefixed_tensors: bool = False,
        *,
        step: int | None = None,
        mode: ModeKeys = ModeKeys.GLOBAL,
        regex: str | Iterable[str] | None = None,
        collection: str | Collection | None = None,
    ) -> list[str]:
        """The names of tensors, in order.

        Args:
            show_prefixed_tensors: accepted, without effect, as for PyTorch with AWS.
            step: only those saved at that step of `mode`.
            mode: only those saved in it.
            regex: an expression, or several: only names in which one is found.
            collection: only those of a collection; not together with `regex`.

        Raises:
            ValueError: both `regex` and `collection` are given.
        """
        if regex is not None and collection is not None:
            raise ValueError(
                "tensor_names() takes either a regex or a collection, and got both: leave one out"
            )
        self.maybe_refresh()
        chosen = set(self.seen.names_at(step, mode))
        if regex is not None:
            chosen &= self.seen.matching([regex] if isinstance(regex, str) else list(regex))
        if collection is not None:
            held = collection if isinstance(collection, Collection) else self.collection(collection)
            chosen &= {*held.tensor_names, *self.seen.matching(held.include_regex)}
        if not chosen and (regex is not None or collection is not None):
            asked = f"the collection {collection}" if regex is None else f"the regex {regex}"
            self.logger.warning("no tensor was saved that goes with %s", asked)
        return sorted(chosen)

    def tensor(self, tname: str) -> Tensor:
        """The tensor of a name.

        Raises:
            TensorUnavailable: none was saved under it.
        """
        if not self.has_tensor(tname):
            raise TensorUnavailable(tname)
        return Tensor(tname, self)

    def has_tensor(self, tname: str) -> bool:
        """Whether anything was saved under a name."""
        if not self.seen.has(tname):
            self.maybe_refresh(tname)
        return self.seen.has(tname)

    def steps(
        self, mode: ModeKeys = ModeKeys.GLOBAL, show_incomplete_steps: bool = False
    ) -> list[int]:
        """The steps at which anything was saved, in order.

        Args:
            mode: whose steps.
            show_incomplete_steps: also those that some workers have not saved yet.
        """
        self.maybe_refresh()
        return list(self.seen.steps(mode, incomplete=show_incomplete_steps))

    def modes(self) -> list[ModeKeys]:
        """The modes of which anything was saved; GLOBAL is none of them."""
        self.maybe_refresh()
        return self.seen.modes()

    def mode_modestep(self, global_step: int) -> tuple[ModeKeys | None, int | None]:
        """Which mode a step over all modes was of, and its number within that."""
        try:
            found = self.history.at(global_step)
        except errors.HistoryError:
            self.maybe_refresh()
            try:
                found = self.history.at(global_step)
            except errors.HistoryError:
                return None, None
        return found.mode, found.mode_step

    def mode(self, global_step: int) -> ModeKeys | None:
        """Which mode a step over all modes was of; None where nothing was saved."""
        return self.mode_modestep(global_step)[0]

    def mode_step(self, global_step: int) -> int | None:
        """The number within its mode of a step over all modes; None where nothing was saved."""
        return self.mode_modestep(global_step)[1]

    def global_step(self, mode: ModeKeys, mode_step: int) -> int | None:
        """The number over all modes of a step of one; None where nothing was saved."""
        if mode is ModeKeys.GLOBAL:
            return mode_step
        found = self.seen.number_of(mode, mode_step)
        if found is None:
            self.maybe_refresh()
            found = self.seen.number_of(mode, mode_step)
        return found

    def workers(self) -> list[str]:
        """The processes that have saved something, such as `worker_0`."""
        self.maybe_refresh()
        return list(self.history.workers)

    def collections(self) -> dict[str, Collection]:
        """The collections as the hook was configured, with the names of their tensors, by name."""
        self.maybe_refresh()
        if self._recorded is None:
            self._recorded = recorded_collections(self.history.collections)
            for collection in self._recorded.values():
                collection.tensor_names |= self.seen.matching(collection.include_regex)
        return {**self._made, **self._recorded}

    def collection(self, coll_name: str) -> Collection:
        """A collection; an empty one, kept for later, where the hook had none of that name."""
        found = self.collections().get(coll_name)
        if found is None:
            found = self._made[coll_name] = Collection(coll_name)
        return found

    def wait_for_steps(
        self, required_steps: Iterable[int], mode: ModeKeys = ModeKeys.GLOBAL
    ) -> None:
        """Wait until steps can be read.

        Raises:
            StepUnavailable: one was passed without anything being saved.
            NoMoreData: the training has ended before one.
        """
        for step in required_steps:
            # What can be read will stay: new data is only looked for where it is needed.
            state = self._state(step, mode)
            while state is not StepState.AVAILABLE:
                self.refresh_data()
                state = self._state(step, mode)
                if state is StepState.UNAVAILABLE:
                    last = max(self.seen.steps(mode, incomplete=True), default=-1)
                    if self.loaded_all_steps and step >= last:
                        raise NoMoreData(step, mode, last)
                    raise StepUnavailable(step, mode)
                if state is StepState.NOT_YET_AVAILABLE:
                    time.sleep(_POLL_SECONDS)

    def has_passed_step(self, step: int, mode: ModeKeys = ModeKeys.GLOBAL) -> StepState:
        """Whether a step can be read, cannot be read ever, or not yet."""
        self.maybe_refresh()
        return self._state(step, mode)

    def labels(self, step: int, mode: ModeKeys = ModeKeys.GLOBAL) -> list[Any]:
        """The tensors named after labels, of a step."""
        return self._values_named("labels*", step, mode)

    def predictions(self, step: int, mode: ModeKeys = ModeKeys.GLOBAL) -> list[Any]:
        """The tensors named after predictions, of a step."""
        return self._values_named("predictions*", step, mode)

    def inputs(self, step: int, mode: ModeKeys = ModeKeys.GLOBAL) -> list[Any]:
        """The tensors of the collection `inputs`, of a step."""
        names = self.tensor_names(step=step, mode=mode, collection="inputs")
        return [self.tensor(name).value(step, mode) for name in sorted(names, key=_suffix)]

    def _values_named(self, regex: str, step: int, mode: ModeKeys) -> list[np.ndarray[Any, Any]]:
        names = self.tensor_names(step=step, mode=mode, regex=regex)
        return [self.tensor(name).value(step, mode) for name in sorted(names, key=_suffix)]

    def _state(self, step: int, mode: ModeKeys) -> StepState:
        steps = self.seen.steps(mode, incomplete=True)
        place = bisect_left(steps, step)
        if place == len(steps):
            return StepState.UNAVAILABLE if self.loaded_all_steps else StepState.NOT_YET_AVAILABLE
        number = self.seen.number_of(mode, steps[place])
        if number is None or number > self.last_complete_step:
            return StepState.NOT_YET_AVAILABLE
        return StepState.AVAILABLE if steps[place] == step else StepState.UNAVAILABLE

    def __repr__(self) -> str:
        return (
            f"Trial(name={self.name!r}, path={self.path!r}, steps={self.steps()}, "
            f"collections={list(self.collections())}, tensor_names={self.tensor_names()})"
        )


def _suffix(name: str) -> int:
    last = name.rsplit("_", 1)[-1]
    return int(last) if last.isdigit() else 0
