"""What was seen of a training, as questions are asked of it.

    history = History.open("s3://…/debug-output")            # or a folder; ours, or smdebug's
    history.steps(Mode.TRAIN)                                # 0, 1, 2, …
    history.scalars("CrossEntropyLoss_output_0", Mode.EVAL)  # {0: 0.71, 1: 0.64, …}
    history.statistics("gradient/ResNet_fc.weight")          # {0: Statistics(…), …}

Nothing is read before it is asked for. A step is one within its mode, and one over all modes
where the mode is GLOBAL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.debugger.history_place import HistoryPlace
from clary.debugger.history_steps import HistorySteps
from clary.debugger.summaries import summarize, units_of
from clary.errors import (
    StatisticsOnly,
    TensorUnavailable,
)
from clary.formats.tensor_log import ALWAYS, Names, Span
from clary.formats.tensor_log.entries import (
    Array,
    Mode,
    Statistics,
    UnitKind,
)


class History(HistorySteps):
    """Answers questions about one training; owned and used by one thread at a time.

    It shows what was there at the last `refresh`.
    """

    @classmethod
    def open(cls, place: str | Path, client: Any | None = None) -> History:
        """Of a folder, or of a prefix on S3.

        Args:
            place: a folder, which need not exist yet, or `s3://bucket/prefix`.
            client: boto3's S3 client; made from the environment where it is needed.

        Raises:
            UsageError: the URI is none of S3's.
            FormatError: a file is damaged, or of a later version.
            StorageError: S3 refuses, or the copy cannot be written.
        """
        return cls(HistoryPlace(place, client))

    def names(
        self,
        regex: str | None = None,
        collection: str | None = None,
        step: int | None = None,
        mode: Mode = Mode.GLOBAL,
    ) -> Mapping[str, Names]:
        """What is there, by name, in the order of the names.

        Args:
            regex: only names in which it is found.
            collection: only tensors of that collection.
            step: only tensors of which something was kept at that step.
            mode: of `step`; without a step, only tensors that have any of that mode.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        found = {
            name: held
            for name, held in sorted(self._source.names().items())
            if (regex is None or re.search(regex, name))
            and (collection is None or collection in held.collections)
        }
        if step is not None:
            number = self.step_of(mode, step)
            only = Span(number - 1, number)
            return {n: held for n, held in found.items() if self._source.steps_of(n, span=only)}
        if mode is not Mode.GLOBAL:
            return {name: held for name, held in found.items() if mode in held.modes}
        return found

    def scalars(
        self,
        name: str,
        mode: Mode = Mode.GLOBAL,
        worker: str | None = None,
        *,
        after: int = -1,
        until: int = ALWAYS.until,
    ) -> Mapping[int, float]:
        """Numbers by step: losses, and what scripts record.

        Args:
            name: the tensor's name.
            mode: of which; GLOBAL gives all, by steps over all modes.
            worker: of which; None for the first that has one.
            after: only steps later than this one, over all modes: what came since the last time.
            until: only steps up to this one, over all modes.
        """
        return self._index.by_mode(self._source.scalars(name, worker, Span(after, until)), mode)

    def statistics(
        self,
        name: str,
        mode: Mode = Mode.GLOBAL,
        worker: str | None = None,
        *,
        after: int = -1,
        until: int = ALWAYS.until,
    ) -> Mapping[int, Statistics]:
        """Statistics by step, also of numbers and of tensors that were kept whole.

        Args:
            name: the tensor's name.
            mode: of which; GLOBAL gives all, by steps over all modes.
            worker: of which; None for the first that has some.
            after: only steps later than this one, over all modes.
            until: only steps up to this one, over all modes.

        Raises:
            FormatError: a file is damaged or gone.
        """
        span = Span(after, until)
        found = {
            number: summarize(np.asarray(value))
            for number, value in self._source.scalars(name, worker, span).items()
        }
        kept = self._source.statistics(name, worker, span)
        for number in self._source.raw_steps(name, worker, span):
            if number not in kept and number not in found:
                found[number] = summarize(self._source.raw(name, number, worker))
        return self._index.by_mode({**found, **kept}, mode)

    def units(
        self,
        name: str,
        kind: UnitKind,
        mode: Mode = Mode.GLOBAL,
        worker: str | None = None,
        *,
        after: int = -1,
        until: int = ALWAYS.until,
    ) -> Mapping[int, npt.NDArray[np.float32]]:
        """What was measured of each channel (C), or of each picture's channels (N, C), by step.

        Of tensors that were kept whole it is computed, but for `active`.

        Args:
            name: the tensor's name.
            kind: `positive`, `active` or `channel_means`.
            mode: of which; GLOBAL gives all, by steps over all modes.
            worker: of which; None for the first that has some.
            after: only steps later than this one, over all modes.
            until: only steps up to this one, over all modes.

        Raises:
            FormatError: a file is damaged or gone.
        """
        span = Span(after, until)
        found = dict(self._source.units(name, kind, worker, span))
        for number in () if kind == "active" else self._source.raw_steps(name, worker, span):
            if number not in found:
                computed = units_of(self._source.raw(name, number, worker), kind)
                if computed is not None:
                    found[number] = computed
        return self._index.by_mode(found, mode)

    def value(
        self, name: str, step: int, mode: Mode = Mode.GLOBAL, worker: str | None = None
    ) -> Array:
        """The whole tensor of a step; a number comes without dimensions, bfloat16 as float32.

        Raises:
            TensorUnavailable: it was not saved at all, or not at that step.
            StatisticsOnly: its statistics were saved, but not the tensor.
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
            FormatError: a file is damaged or gone.
        """
        number = self._number_for(name, step, mode)
        only = Span(number - 1, number)
        if self._source.raw_steps(name, worker, only):
            return self._source.raw(name, number, worker)
        scalars = self._source.scalars(name, worker, only)
        if scalars:
            return np.asarray(scalars[number])
        where = f"{name} at step {step} of {mode.name}"
        if self._source.steps_of(name, worker, only):
            raise StatisticsOnly(
                f"only statistics of {where} were saved: ask for these, or set "
                "save_raw_tensor=True in its collection to keep the tensor"
            )
        raise TensorUnavailable(
            f"{where} was not saved: steps({mode.name}, {name!r}) lists those that were"
        )

    def raw_steps(
        self, name: str, mode: Mode = Mode.GLOBAL, worker: str | None = None
    ) -> tuple[int, ...]:
        """Steps at which the tensor was kept whole."""
        return self._index.within(mode, self._source.raw_steps(name, worker))

    def reduction(
        self,
        name: str,
        step: int,
        reduction: str,
        mode: Mode = Mode.GLOBAL,
        worker: str | None = None,
        *,
        absolute: bool = False,
    ) -> float:
        """A reduction by SageMaker's name, as it was kept or of the whole tensor.

        Args:
            name: the tensor's name.
            step: within its mode.
            reduction: `min max mean std variance sum prod l1 l2`.
            mode: of the step.
            worker: of which; None for the first that has it.
            absolute: of the absolute values.

        Raises:
            KeyError: there is no reduction of that name.
            TensorUnavailable: the tensor was not saved, or neither whole nor with that reduction.
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
            FormatError: a file is damaged or gone.
        """
        number = self._number_for(name, step, mode)
        kept = self._source.reduction(name, number, reduction, absolute=absolute, worker=worker)
        if kept is None:
            value = self.value(name, step, mode, worker)
            kept = summarize(value).reduction(reduction, absolute=absolute)
        if kept is None:
            raise TensorUnavailable(
                f"{name} at step {step} of {mode.name} has no finite element to take the "
                f"{reduction} of: look at its count of NaN"
            )
        return kept

    def shape(
        self, name: str, step: int, mode: Mode = Mode.GLOBAL, worker: str | None = None
    ) -> tuple[int, ...]:
        """The shape that a tensor had at a step.

        Raises:
            TensorUnavailable: it was not saved.
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        number = self._number_for(name, step, mode)
        try:
            return self._source.shape(name, number, worker)
        except KeyError as error:
            if self._source.scalars(name, worker, Span(number - 1, number)):
                return ()
            raise TensorUnavailable(
                f"the shape of {name} at step {step} of {mode.name} was not saved: set "
                "save_shape=True in its collection"
            ) from error

    def _number_for(self, name: str, step: int, mode: Mode) -> int:
        if name not in self._source:
            raise TensorUnavailable(f"{name} was not saved: names() lists what was")
        return self.step_of(mode, step)
