"""What smdebug's own library wrote, behind the same questions as Clary's tensor log.

collections/000000000/<worker>_collections.json
index/<step // 1000>/<step>_<worker>.json     where in which events file each tensor stands
events/<step>/<step>_<worker>.tfevents        the tensors, read when they are asked for
training_job_end.ts
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clary.debugger.original_records import read_record
from clary.errors import FormatError
from clary.formats.tensor_log import ALWAYS, Names, Span
from clary.formats.tensor_log.entries import Array, CollectionRecord, Mode, Statistics, Step
from clary.formats.tensor_log.layout import (
    COLLECTIONS,
    TRAINING_END,
    stays_inside,
    worker_order,
)
from clary.formats.tensor_log.tensor_names import collections_of

_INDEX = "index"
_FIRST_COLLECTIONS = "000000000"
_INDEX_FILE = re.compile(r"(\d+)_(.+)\.json")
_COLLECTIONS_FILE = re.compile(r"(.+)_collections\.json")
_REDUCTION = re.compile(r"smdebug/reductions/(abs_)?([a-z0-9]+)/(.+)", re.DOTALL)
_SCALAR_COLLECTIONS = {"losses", "metrics", "sm_metrics", "scalars"}
# A record of one number takes some 100 bytes and the tensor's name twice or thrice.
_SCALAR_LIMIT_BYTES = 1024


class _Place(NamedTuple):
    """Where a record stands in an events file, in bytes."""

    file: str
    start: int
    length: int


_ByStep = dict[int, dict[str, _Place]]


class OriginalFiles:
    """Reads a folder that smdebug wrote, all workers, while it grows; one thread at a time.

    Numbers, whole tensors and reductions are as they were saved. Statistics are made of the
    reductions; their size is 0 where it is not known, and `std` divides by n - 1 then.
    """

    def __init__(self, folder: Path, *, fetch: Callable[[str], None] | None = None) -> None:
        """Read what is there.

        Args:
            folder: what was smdebug's `out_dir`.
            fetch: brings an events file, by its path relative to the folder, when it is not
                there.
        """
        self._folder = folder
        self._fetch = fetch
        self._read: set[str] = set()
        self._steps: dict[int, Step] = {}
        self._arrived: list[Step] = []
        self._last: dict[str, int] = {}
        self._whole: dict[str, _ByStep] = defaultdict(lambda: defaultdict(dict))
        self._reductions: dict[str, dict[tuple[str, bool], _ByStep]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(dict))
        )
        self._shapes: dict[str, dict[int, dict[str, tuple[int, ...]]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self.ended = False
        self.failures: tuple[str, ...] = ()
        self.workers: tuple[str, ...] = ()
        self.collections: Mapping[str, CollectionRecord] = {}
        self.reductions_as_saved = True
        self.refresh()

    def __contains__(self, name: str) -> bool:
        return name in self._whole or name in self._reductions or name in self._shapes

    @staticmethod
    def are_in(folder: Path) -> bool:
        """Whether smdebug wrote this folder."""
        return (folder / _INDEX).is_dir() or (folder / COLLECTIONS / _FIRST_COLLECTIONS).is_dir()

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged.
        """
        ended = (self._folder / TRAINING_END).exists()
        news, self.ended = ended != self.ended, ended
        news = self._refresh_collections() or news
        for path in sorted((self._folder / _INDEX).glob("*/*.json")):
            found = _INDEX_FILE.fullmatch(path.name)
            if found is None or path.name in self._read:
                continue
            self._take(path, int(found[1]), found[2])
            self._read.add(path.name)
            news = True
        return news

    def steps(self, mode: Mode = Mode.GLOBAL) -> tuple[Step, ...]:
        """Steps of a mode, or of all, by number."""
        found = (self._steps[number] for number in sorted(self._steps))
        return tuple(step for step in found if mode in {Mode.GLOBAL, step.mode})

    def arrived(self, after: int) -> Sequence[Step]:
        """Steps in the order in which they were first seen, but for so many of the earliest."""
        return self._arrived[after:]

    def last_step(self, worker: str) -> int:
        """The last step at which a worker kept anything; -1 without any."""
        return self._last.get(worker, -1)

    def names(self) -> Mapping[str, Names]:
        """What is there, by the tensors' names."""
        found = {}
        for name in {*self._whole, *self._reductions, *self._shapes}:
            steps = self.steps_of(name)
            collections = collections_of(name, self.collections.values())
            kinds = {"raw"} if name in self._whole else set()
            kinds |= {"statistics"} if name in self._reductions else set()
            kinds |= {"shape"} if name in self._shapes else set()
            kinds |= {"scalar"} if name in self._whole and _are_scalar(collections) else set()
            everything = self._everything(name)
            workers = {w for by_step in everything for at in by_step.values() for w in at}
            found[name] = Names(
                frozenset(kinds),
                frozenset(self._steps[step].mode for step in steps),
                collections,
                steps[0],
                steps[-1],
                tuple(sorted(workers, key=worker_order)),
            )
        return found

    def scalars(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> Mapping[int, float]:
        """Values by step of a tensor with one element; none where it has more."""
        found = {}
        for step, place in self._places(self._whole.get(name, {}), worker, span):
            if place.length > _SCALAR_LIMIT_BYTES + 3 * len(name):
                continue
            value = self._value(place)
            if value.size == 1 and value.dtype.kind in "biuf":
                found[step] = float(value.reshape(()))
        return found

    def statistics(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> Mapping[int, Statistics]:
        """Statistics by step, of steps whose whole tensor was not saved."""
        found: dict[int, Statistics] = {}
        whole = self._whole.get(name, {})
        for step in _steps_in(self._reductions.get(name, {}).values(), worker):
            if span.touches(step, step) and step not in whole:
                found[step] = self._statistics(name, step, worker)
        return found

    def units(
        self, name: str, kind: str, worker: str | None = None, span: Span = ALWAYS
    ) -> Mapping[int, npt.NDArray[np.float32]]:
        """None: smdebug keeps none."""
        return {}

    def reduction(
        self, name: str, step: int, reduction: str, *, absolute: bool, worker: str | None = None
    ) -> float | None:
        """A reduction by SageMaker's name; None where it was not saved."""
        kept = self._reductions.get(name, {}).get((reduction, absolute), {})
        for _, place in self._places(kept, worker, Span(step - 1, step)):
            return float(self._value(place).reshape(-1)[0])
        return None

    def steps_of(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> tuple[int, ...]:
        """Steps at which anything of a tensor was saved."""
        found = _steps_in(self._everything(name), worker)
        return tuple(step for step in found if span.touches(step, step))

    def raw_steps(
        self, name: str, worker: str | None = None, span: Span = ALWAYS
    ) -> tuple[int, ...]:
        """Steps whose whole tensor was saved."""
        return tuple(step for step, _ in self._places(self._whole.get(name, {}), worker, span))

    def raw(self, name: str, step: int, worker: str | None = None) -> Array:
        """The whole tensor of a step.

        Raises:
            KeyError: it was not saved.
            FormatError: its file is damaged or gone.
        """
        kept = self._whole.get(name, {})
        for _, place in self._places(kept, worker, Span(step - 1, step)):
            return self._value(place)
        raise KeyError((name, step))

    def shape(self, name: str, step: int, worker: str | None = None) -> tuple[int, ...]:
        """The shape that a tensor had at a step.

        Raises:
            KeyError: neither it nor the tensor was saved.
            FormatError: a file is damaged or gone.
        """
        kept = self._shapes.get(name, {}).get(step, {})
        for found in sorted(kept, key=worker_order):
            if worker in {None, found}:
                return kept[found]
        return self.raw(name, step, worker).shape

    def _take(self, path: Path, number: int, worker: str) -> None:
        try:
            described = json.loads(path.read_bytes())
            meta = described["meta"]
            mode = Mode[meta["mode"].strip()]
            step = Step(number, mode, int(meta["mode_step"]), path.stat().st_mtime)
            for held in described.get("tensor_payload") or ():
                file = _inside(meta["event_file_name"])
                place = _Place(file, int(held["start_idx"]), int(held["length"]))
                self._keep(held["tensorname"], number, worker, place)
            for held in described.get("shape_payload") or ():
                shape = tuple(int(size) for size in held["shape"])
                self._shapes[held["tensorname"]][number][worker] = shape
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(
                f"{path} is damaged ({error!r}): remove it to read the rest"
            ) from error
        if number not in self._steps:
            self._steps[number] = step
            self._arrived.append(step)
        self._last[worker] = max(number, self._last.get(worker, -1))
        self.workers = tuple(sorted({*self.workers, worker}, key=worker_order))

    def _keep(self, name: str, number: int, worker: str, place: _Place) -> None:
        reduced = _REDUCTION.fullmatch(name)
        if reduced is None:
            self._whole[name][number][worker] = place
        else:
            kind = (reduced[2], reduced[1] is not None)
            self._reductions[reduced[3]][kind][number][worker] = place

    def _refresh_collections(self) -> bool:
        found: dict[str, CollectionRecord] = {}
        for path in sorted((self._folder / COLLECTIONS / _FIRST_COLLECTIONS).glob("*.json")):
            if not _COLLECTIONS_FILE.fullmatch(path.name):
                continue
            try:
                for name, held in json.loads(path.read_bytes())["collections"].items():
                    found.setdefault(name, _collection(name, held))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise FormatError(f"{path} is damaged: {error!r}") from error
        news = found != self.collections
        self.collections = found
        return news

    def _everything(self, name: str) -> list[Mapping[int, Mapping[str, Any]]]:
        reduced = self._reductions.get(name, {}).values()
        return [self._whole.get(name, {}), self._shapes.get(name, {}), *reduced]

    def _places(
        self, kept: Mapping[int, Mapping[str, _Place]], worker: str | None, span: Span
    ) -> Iterator[tuple[int, _Place]]:
        for step in sorted(kept):
            if not span.touches(step, step):
                continue
            for found in sorted(kept[step], key=worker_order):
                if worker in {None, found}:
                    yield step, kept[step][found]
                    break

    def _statistics(self, name: str, step: int, worker: str | None) -> Statistics:
        def kept(reduction: str, *, absolute: bool = False) -> float | None:
            return self.reduction(name, step, reduction, absolute=absolute, worker=worker)

        shape = self._shapes.get(name, {}).get(step, {})
        size = int(np.prod(next(iter(shape.values())))) if shape else 0
        std, variance, l1 = kept("std"), kept("variance"), kept("l1")
        if std is None and variance is not None:
            std = float(np.sqrt(variance))
        if std is not None and size > 1:
            # torch divides by n - 1, statistics by n.
            std *= float(np.sqrt((size - 1) / size))
        return Statistics(
            size=size,
            min=kept("min"),
            max=kept("max"),
            mean=kept("mean"),
            std=std,
            abs_min=kept("min", absolute=True),
            prod=kept("prod"),
            l1=kept("sum", absolute=True) if l1 is None else l1,
            l2=kept("l2"),
        )

    def _value(self, place: _Place) -> Array:
        path = self._folder / place.file
        if not path.exists() and self._fetch is not None:
            self._fetch(place.file)
        try:
            with path.open("rb") as file:
                file.seek(place.start)
                return read_record(file.read(place.length))[1]
        except FileNotFoundError as error:
            raise FormatError(
                f"{path} is gone, although an index names it: copy the whole folder again"
            ) from error
        except (ValueError, OSError) as error:
            raise FormatError(f"{path} is damaged at byte {place.start}: {error}") from error


def _steps_in(kept: Iterable[Mapping[int, Mapping[str, Any]]], worker: str | None) -> list[int]:
    return sorted({s for held in kept for s, at in held.items() if worker is None or worker in at})


def _collection(name: str, held: Mapping[str, Any]) -> CollectionRecord:
    settings = {
        key: held[key] if isinstance(held[key], str) else json.dumps(held[key])
        for key in ("save_config", "reduction_config", "save_histogram")
        if held.get(key) is not None
    }
    regexes = tuple(held.get("include_regex") or ())
    return CollectionRecord(name, regexes, tuple(held.get("tensor_names") or ()), settings)


def _are_scalar(collections: tuple[str, ...]) -> bool:
    return not _SCALAR_COLLECTIONS.isdisjoint(collections)


def _inside(name: str) -> str:
    if not stays_inside(name):
        raise ValueError(f"an events file named {name!r}")
    return name
