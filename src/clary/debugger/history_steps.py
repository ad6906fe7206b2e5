"""Which steps a history has, who wrote it, and what it becomes while it grows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from clary.debugger.history_place import HistoryPlace
from clary.debugger.history_source import Source
from clary.debugger.step_index import StepIndex
from clary.errors import StepNotYetAvailable
from clary.formats.tensor_log import Span
from clary.formats.tensor_log.entries import CollectionRecord, Mode, Step

_POLL_SECONDS = 0.2


class HistorySteps:
    """Follows one training, step by step; owned and used by one thread at a time.

    It shows what was there at the last `refresh`.
    """

    def __init__(self, place: HistoryPlace) -> None:
        self._place = place
        self._take(place.source())

    @property
    def folder(self) -> Path:
        """Where it is read from; for S3 a copy that goes when the history does."""
        return self._place.folder

    @property
    def ended(self) -> bool:
        """Whether no more is to come."""
        return self._source.ended

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""
        return self._source.failures

    @property
    def workers(self) -> tuple[str, ...]:
        """Who wrote, such as `worker_0`."""
        return self._source.workers

    @property
    def collections(self) -> Mapping[str, CollectionRecord]:
        """How the hook was configured."""
        return self._source.collections

    @property
    def reductions_as_saved(self) -> bool:
        """Whether `reduction` gives what was saved: smdebug's own files hold torch's values.

        These divide std and variance by n - 1 and are over all elements, whereas Clary's log
        divides by n, over the finite ones.
        """
        return self._source.reductions_as_saved

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            StorageError: S3 refuses, or the copy cannot be written.
        """
        self._place.update()
        if self._place.is_another(self._source):
            self._take(self._place.source())
            return True
        news = self._source.refresh()
        if news:
            self._extend_index()
        return news

    def steps(
        self,
        mode: Mode = Mode.GLOBAL,
        name: str | None = None,
        worker: str | None = None,
        *,
        after: int = -1,
    ) -> tuple[int, ...]:
        """Steps of a mode, in order.

        Args:
            mode: of which; GLOBAL gives steps over all modes.
            name: only those at which something of that tensor was kept.
            worker: only those at which that worker kept it.
            after: only steps later than this one, over all modes.
        """
        span = Span(after)
        if name is not None:
            return self._index.within(mode, self._source.steps_of(name, worker, span))
        return self._index.within(mode, span=span)

    def last_step(self, worker: str) -> int:
        """The last step over all modes at which a worker kept anything; -1 without any."""
        return self._source.last_step(worker)

    def at(self, number: int) -> Step:
        """The step of a number over all modes.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        return self._index.at(number)

    def mode_of(self, number: int) -> Mode:
        """The mode of a step that is counted over all modes.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        return self.at(number).mode

    def step_of(self, mode: Mode, mode_step: int) -> int:
        """The number over all modes of a step within its mode.

        Raises:
            StepUnavailable: there is no such step, and never will be.
            StepNotYetAvailable: there is no such step yet.
        """
        return self._index.number_of(mode, mode_step)

    def wait_for(
        self, step: int, mode: Mode = Mode.GLOBAL, timeout_seconds: float | None = None
    ) -> int:
        """Refresh until a step is there; its number over all modes.

        Raises:
            StepUnavailable: it was passed without being saved, or the training is over.
            StepNotYetAvailable: the time is over.
        """
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            self.refresh()
            try:
                return self.step_of(mode, step)
            except StepNotYetAvailable:
                if end is not None and time.monotonic() >= end:
                    raise
            time.sleep(_POLL_SECONDS)

    def _take(self, source: Source) -> None:
        self._source = source
        self._index = StepIndex()
        self._extend_index()

    def _extend_index(self) -> None:
        fresh = self._source.arrived(len(self._index))
        self._index.extend(fresh, ended=self._source.ended)
