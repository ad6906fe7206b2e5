"""Reading a tensor log while it grows, and after its writers were killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from clary.errors import FormatError
from clary.formats.tensor_log.databases import Databases
from clary.formats.tensor_log.entries import (
    Array,
    CollectionRecord,
    Mode,
    RawTensor,
    Statistics,
    Step,
)
from clary.formats.tensor_log.layout import (
    SEGMENTS,
    TRAINING_END,
    WorkerPaths,
    live_of,
    segment_of,
    stays_inside,
    worker_order,
)
from clary.formats.tensor_log.lines import read_lines
from clary.formats.tensor_log.raw_files import read_tensor
from clary.formats.tensor_log.segments import ALWAYS, LiveSegment, Segment, Span
from clary.formats.tensor_log.tensor_names import Gathered, Names
from clary.formats.tensor_log.worker_notes import WorkerNotes

_Value = TypeVar("_Value")
_LATE_SECONDS = 60.0


@dataclass(frozen=True)
class _Part:
    """A segment, or what a live file holds so far."""

    number: int
    worker: str
    segment: Segment


@dataclass
class _Live:
    """A live file as far as it was read."""

    part: _Part
    segment: LiveSegment
    read_bytes: int = 0


class TensorLog:
    """Reads a folder, all workers, while it grows; owned and used by one thread at a time.

    What was there when it was made or last refreshed is what it shows. Steps are numbers over
    all modes. Where no worker is named, the first one that has a value gives it.
    """

    def __init__(self, folder: Path, *, fetch: Callable[[str], None] | None = None) -> None:
        """Read what is there; the folder need not exist yet.

        Args:
            folder: the log.
            fetch: brings a file of raw tensors, by its path relative to the log, when it is not
                in the folder; for mirrors that leave large files where they are.
        """
        self._folder = folder
        self._fetch = fetch
        self._databases = Databases()
        self._sealed: dict[tuple[str, int], _Part] = {}
        self._live: dict[tuple[str, int], _Live] = {}
        # From the last worker to the first, each from its oldest part to its newest.
        self._parts: tuple[_Part, ...] = ()
        # Of the segments that are final.
        self._gathered = Gathered()
        self._names: Mapping[str, Names] | None = None
        self._steps: dict[int, Step] = {}
        self._arrived: list[Step] = []
        self._notes = WorkerNotes(folder)
        self.ended = False
        self.workers: tuple[str, ...] = ()
        self.reductions_as_saved = False
        self.refresh()

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            StorageError: a file cannot be read.
        """
        noted = self._notes.refresh()
        news = self._refresh_captures() or noted
        if news:
            self._names = None
        return news

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""
        return self._notes.failures

    @property
    def collections(self) -> Mapping[str, CollectionRecord]:
        """How the hook was configured."""
        return self._notes.collections

    def __contains__(self, name: str) -> bool:
        return any(name in part.segment.tensors for part in self._parts)

    def steps(self, mode: Mode = Mode.GLOBAL) -> tuple[Step, ...]:
        """Steps of a mode, or of all, by number."""
        found = (self._steps[number] for number in sorted(self._steps))
        return tuple(step for step in found if mode in {Mode.GLOBAL, step.mode})

    def arrived(self, after: int) -> Sequence[Step]:
        """Steps in the order in which they were first seen, but for so many of the earliest."""
        return self._arrived[after:]

    def last_step(self, worker: str) -> int:
        """The last step at which a worker kept anything; -1 without any."""
        return max((p.segment.last for p in self._parts if p.worker == worker), default=-1)

    def names(self) -> Mapping[str, Names]:
        """What is there, by the tensors' names."""
        if self._names is None:
            gathered = self._gathered
            for live in self._live.values():
                gathered = gathered.with_segment(live.part.worker, live.segment.tensors)
            self._names = gathered.names(self.collections.values())
        return self._names

    def scalars(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> Mapping[int, float]:
        """Values by step; none where the name is unknown."""
        return self._collect(worker, span, lambda segment: segment.scalars(name, span))

    def statistics(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> Mapping[int, Statistics]:
        """Statistics by step; none where the name is unknown."""
        return self._collect(worker, span, lambda segment: segment.statistics(name, span))

    def units(
        self, name: str, kind: str, worker: str | None = None, span: Span = ALWAYS
    ) -> Mapping[int, npt.NDArray[np.float32]]:
        """Values of channels (C), or of pictures' channels (N, C), by step."""
        return self._collect(worker, span, lambda segment: segment.units(name, kind, span))

    def reduction(
        self, name: str, step: int, reduction: str, *, absolute: bool, worker: str | None = None
    ) -> float | None:
        """A reduction by SageMaker's name; None where it cannot be had from what was kept.

        Raises:
            KeyError: there is no reduction of that name.
        """
        held = self.statistics(name, worker, Span(step - 1, step)).get(step)
        return None if held is None else held.reduction(reduction, absolute=absolute)

    def steps_of(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> tuple[int, ...]:
        """Steps at which anything of a tensor was kept."""
        found = (part.segment.steps_of(name, span) for part in self._of(worker, span))
        return tuple(sorted(set().union(*found)))

    def raw_steps(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> tuple[int, ...]:
        """Steps whose whole tensor was kept."""
        found = (set(part.segment.raw_steps(name, span)) for part in self._of(worker, span))
        return tuple(sorted(set().union(*found)))

    def raw(self, name: str, step: int, worker: str | None = None) -> Array:
        """The whole tensor of a step; bfloat16 comes as float32.

        Raises:
            KeyError: it was not kept.
            FormatError: its file is damaged or gone.
        """
        for part in reversed(self._of(worker, Span(step - 1, step))):
            place = part.segment.raw(name, step)
            if place is None:
                continue
            if place.file is None:
                return RawTensor(place.dtype, place.shape, place.data or b"").array()
            return self._raw_of_file(place.file, name, place.dtype, place.shape)
        raise KeyError((name, step))

    def shape(self, name: str, step: int, worker: str | None = None) -> tuple[int, ...]:
        """The shape that a tensor had at a step.

        Raises:
            KeyError: it was not kept.
        """
        for part in reversed(self._of(worker, Span(step - 1, step))):
            for _, shape in part.segment.shapes(name, Span(step - 1, step)):
                return shape
        raise KeyError((name, step))

    def _collect(
        self,
        worker: str | None,
        span: Span,
        read: Callable[[Segment], Iterator[tuple[int, _Value]]],
    ) -> Mapping[int, _Value]:
        found: dict[int, _Value] = {}
        for part in self._of(worker, span):
            found.update(read(part.segment))
        return dict(sorted(found.items()))

    def _of(self, worker: str | None, span: Span) -> list[_Part]:
        after, until = span.after, span.until
        return [
            part
            for part in self._parts
            if part.segment.last > after
            and part.segment.first <= until
            and worker in {None, part.worker}
        ]

    def _ordered(self) -> tuple[_Part, ...]:
        parts = [*self._sealed.values(), *(live.part for live in self._live.values())]
        parts.sort(key=lambda part: part.number)
        parts.sort(key=lambda part: worker_order(part.worker), reverse=True)
        return tuple(parts)

    def _raw_of_file(self, file: str, name: str, dtype: str, shape: tuple[int, ...]) -> Array:
        path = self._folder / file
        if not stays_inside(file):
            raise FormatError(f"the tensor {name} is said to lie in {file}, outside of the log")
        if not path.exists() and self._fetch is not None:
            self._fetch(file)
        try:
            return read_tensor(path, name, dtype, shape).array()
        except FileNotFoundError as error:
            raise FormatError(
                f"{path} is gone, which held the tensor {name}: its statistics are still there"
            ) from error

    def _refresh_captures(self) -> bool:
        # Whether it is over is asked first: what is read after it is then the whole.
        sealed, live = self._listed()
        if not self._live.keys() <= sealed | live:
            # It became a segment between the listing of one half of the folder and the other.
            sealed, live = self._listed()
        over = self._is_over(sealed, live)
        news, self.ended = over != self.ended, over
        for key in sorted(sealed - self._sealed.keys()):
            worker, number = key
            path = WorkerPaths(self._folder, worker).segment(number)
            segment, steps = Segment.open(path, self._databases)
            self._sealed[key] = _Part(number, worker, segment)
            self._gathered = self._gathered.with_segment(worker, segment.tensors)
            self._note(steps)
            news = True
        for key in [*self._live]:
            if key not in live or key in sealed:
                self._live.pop(key).segment.close()
        for key in live - sealed:
            news = self._read_live(key) or news
        self._parts = self._ordered()
        workers = {part.worker for part in self._parts}
        self.workers = tuple(sorted({*self.workers, *workers}, key=worker_order))
        return news

    def _listed(self) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        sealed, live = set(), set()
        try:
            names = [path.name for path in (self._folder / SEGMENTS).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return set(), set()
        for name in names:
            if segment := segment_of(name):
                sealed.add((segment[1], segment[0]))
            elif rest := live_of(name):
                live.add((rest[1], rest[0]))
        return sealed, live

    def _read_live(self, key: tuple[str, int]) -> bool:
        worker, number = key
        path = WorkerPaths(self._folder, worker).live(number)
        live = self._live.get(key)
        if live is None:
            segment = LiveSegment()
            live = self._live[key] = _Live(_Part(number, worker, segment), segment)
        try:
            if path.stat().st_size == live.read_bytes:
                return False
            lines, live.read_bytes = read_lines(path, live.read_bytes)
        except FileNotFoundError:  # it has become a segment just now: the next refresh has it
            return True
        self._note(live.segment.extend(lines))
        return bool(lines)

    def _note(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.number not in self._steps:
                self._steps[step.number] = step
                self._arrived.append(step)

    def _is_over(
        self, sealed: Collection[tuple[str, int]], live: Collection[tuple[str, int]]
    ) -> bool:
        last = self._notes.last_segments
        began = {worker for worker, _ in (*sealed, *live)} | self._notes.described
        told = self._told_at()
        if told is None and not (last and began <= last.keys()):
            return False
        if self._fetch is None or all(not n or (w, n) in sealed for w, n in last.items()):
            return True
        # Files come to S3 in any order, so that a worker's last segment may be behind its end. One
        # that somebody has removed there is not waited for.
        return told is not None and time.time() - told > _LATE_SECONDS

    def _told_at(self) -> float | None:
        try:
            return (self._folder / TRAINING_END).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
