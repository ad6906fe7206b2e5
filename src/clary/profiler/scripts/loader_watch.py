"""Sees torch's DataLoader: who waits for a batch, what loading one takes, how it is set up.

What is put around torch's functions asks nothing of the user's: no batch for its size, no loader
for its length. It hands them over, and whoever is told asks under its own guard.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
import weakref
from collections import UserDict
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TypeVar

import torch
from torch.utils.data import get_worker_info
from torch.utils.data._utils import fetch as fetching
from torch.utils.data.dataloader import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter

from clary.formats.timeline import Loading, LoadRecord, LoadWriter
from clary.profiler.scripts.patching import Patches

LOADER = "_clary_loader"
MAIN_PROCESS = -1
# Of a list or a dictionary, where a batch's pictures are looked for; they come first by custom.
LOOKED_AT = 16


class LoaderEvents:
    """What is told of loaders: a base with empty methods.

    None of them may raise, whatever the batches and loaders they are given do when asked.
    """

    def fetch_begins(self, loader: int) -> bool:
        """A batch is waited for; False where that concerns nobody, and nothing more is told."""
        return False

    def fetch_ends(self, batch: Any) -> None:
        """The batch is there."""

    def fetch_fails(self) -> None:
        """There is no further batch, or the loader has failed."""

    def loaded(self, start_ns: int, cpu_s: float, batch: Any, asked_for: Any) -> None:
        """This process has loaded a batch, from `start_ns` until now.

        Args:
            start_ns: of `time.perf_counter_ns`.
            cpu_s: what it has computed for it.
            batch: as the loader made it.
            asked_for: indices of its pictures; None where batches are not made of single ones.
        """

    def workers_start(self) -> None:
        """Processes of a loader are about to be started."""

    def workers_started(self, start_ns: int, loader: Any) -> None:
        """Processes of a loader have been started, from `start_ns` until now."""

    def loader_seen(self, number: int, loader: Any) -> None:
        """A loader begins an epoch; the number tells it apart from all others of this process."""


def watch_loaders(patches: Patches, events: Callable[[], LoaderEvents | None]) -> None:
    """Tell of all loaders of this process and of those it forks.

    Args:
        patches: undo what is changed.
        events: gives whom to tell; None: nobody for now.
    """
    patches.wrap(_BaseDataLoaderIter, "__init__", functools.partial(_seen, events))
    patches.wrap(_BaseDataLoaderIter, "__next__", functools.partial(_waited_for, events))
    patches.wrap(
        _MultiProcessingDataLoaderIter, "__init__", functools.partial(_workers_started, events)
    )
    for fetcher in (fetching._MapDatasetFetcher, fetching._IterableDatasetFetcher):
        patches.wrap(fetcher, "fetch", functools.partial(_loaded, events))


_Events = Callable[[], "LoaderEvents | None"]
_Original = Callable[..., Any]


def _seen(events: _Events, original: _Original) -> _Original:
    @functools.wraps(original)
    def init(self: Any, loader: Any, *args: Any, **kwargs: Any) -> None:
        original(self, loader, *args, **kwargs)
        told = events()
        if told is not None:
            number = self.__dict__[LOADER] = _number_of(loader)
            told.loader_seen(number, loader)

    return init


def _workers_started(events: _Events, original: _Original) -> _Original:
    @functools.wraps(original)
    def init(self: Any, loader: Any, *args: Any, **kwargs: Any) -> None:
        told = events()
        began = perf_counter_ns()
        if told is not None:
            told.workers_start()
        original(self, loader, *args, **kwargs)
        if told is not None:
            told.workers_started(began, loader)

    return init


def _waited_for(events: _Events, original: _Original) -> _Original:
    @functools.wraps(original)
    def next_batch(self: Any) -> Any:
        told = events()
        if told is None or not told.fetch_begins(self.__dict__.get(LOADER, 0)):
            return original(self)
        try:
            batch = original(self)
        except BaseException:
            told.fetch_fails()
            raise
        told.fetch_ends(batch)
        return batch

    return next_batch


def _loaded(events: _Events, original: _Original) -> _Original:
    @functools.wraps(original)
    def fetch(self: Any, index: Any) -> Any:
        told = events()
        if told is None:
            return original(self, index)
        began, cpu = perf_counter_ns(), time.process_time()
        batch = original(self, index)
        cpu = time.process_time() - cpu
        told.loaded(began, cpu, batch, index if self.auto_collation else None)
        return batch

    return fetch


_numbers = itertools.count(1)
_numbered: dict[int, tuple[weakref.ref[Any], int]] = {}


def _number_of(loader: Any) -> int:
    """Tells loaders apart, also one from a later one in its place in memory."""
    place = id(loader)
    known, number = _numbered.get(place, (None, 0))
    if known is not None and known() is loader:
        return number
    number = next(_numbers)
    try:
        gone = functools.partial(_forget, place, number)
        _numbered[place] = weakref.ref(loader, gone), number
    except TypeError:  # such objects cannot be followed: each epoch is one of another loader
        pass
    return number


def _forget(place: int, number: int, _: Any) -> None:
    if _numbered.get(place, (None, 0))[1] == number:
        del _numbered[place]


_Answer = TypeVar("_Answer")


def _asked(question: Callable[[], _Answer], otherwise: _Answer) -> _Answer:
    """What somebody else's object answers; nothing where it fails."""
    try:
        return question()
    except Exception:  # noqa: BLE001 - it is no DataLoader, or one that does not know
        return otherwise


def loading_of(loader: Any) -> Loading:
    """How a DataLoader is set up, as far as it says; nothing that it raises is raised here."""

    def batch_size() -> int | None:
        size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
        return None if size is None else int(size)

    def prefetched() -> int | None:
        factor = loader.prefetch_factor
        return None if factor is None else int(factor)

    return Loading(
        kind="DataLoader",
        workers=_asked(lambda: int(loader.num_workers), 0),
        pin_memory=_asked(lambda: bool(loader.pin_memory), False),
        prefetch_factor=_asked(prefetched, None),
        persistent_workers=_asked(lambda: bool(loader.persistent_workers), False),
        batch_size=_asked(batch_size, None),
        pictures=_asked(lambda: len(loader.dataset) if _has_length(loader) else None, None),
    )


def batches_of(loader: Any) -> int | None:
    """How many batches an epoch of a DataLoader has, if it says; it may take a while to answer."""
    return _asked(lambda: len(loader) if _has_length(loader) else None, None)


def _has_length(loader: Any) -> bool:
    # To ask a loader of an iterable data set for its length makes torch warn when it is wrong.
    return bool(loader._dataset_kind == 0)


def pictures_of(batch: Any, depth: int = 4) -> int:
    """How many pictures a batch holds: the first dimension of its first tensor; 0 without one.

    Looked for in lists, tuples and dictionaries: other containers may make what they are asked for.
    Nothing that a batch raises is raised here.
    """
    if isinstance(batch, torch.Tensor):
        return _asked(lambda: int(batch.size(0)) if batch.dim() else 0, 0)
    if depth:
        none: list[Any] = []
        for part in _asked(lambda: list(itertools.islice(_parts(batch), LOOKED_AT)), none):
            count = pictures_of(part, depth - 1)
            if count:
                return count
    return 0


def _parts(batch: Any) -> Iterable[Any]:
    """What a container holds already, by its own type's methods."""
    if isinstance(batch, UserDict):
        batch = batch.data
    if isinstance(batch, dict):
        return dict.values(batch)
    if isinstance(batch, list):
        return list.__iter__(batch)
    return tuple.__iter__(batch) if isinstance(batch, tuple) else ()


def pictures_loaded(batch: Any, asked_for: Any) -> int:
    """How many pictures a batch has that was loaded for such indices."""
    return pictures_of(batch) or _asked(lambda: 0 if asked_for is None else len(asked_for), 0)


class WorkersLoads:
    """Writes what one process of a loader loads; made in that process.

    Args:
        folder: the host's folder of the profiler.
        worker: `worker_<rank>` of the process that trains.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._writer = LoadWriter(folder, worker)
        self._offset_ns = time.time_ns() - perf_counter_ns()
        info = get_worker_info()
        self._number = MAIN_PROCESS if info is None else int(info.id)
        self.process = os.getpid()

    def write(self, start_ns: int, cpu_s: float, pictures: int) -> None:
        """Add a batch that is there now.

        Raises:
            StorageError: it cannot be written.
        """
        self._writer.write(
            LoadRecord(
                (start_ns + self._offset_ns) // 1000,
                (perf_counter_ns() - start_ns) / 1e9,
                pictures,
                self._number,
                cpu_s,
            )
        )
