"""Sees torch's DataLoader: who waits for a batch, what loading one takes, how it is set up."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import torch
from torch.utils.data import get_worker_info
from torch.utils.data._utils import fetch as fetching
from torch.utils.data.dataloader import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter

from clary.formats.timeline import Loading, LoadRecord, LoadWriter
from clary.profiler.scripts.patching import Patches

LOADER = "_clary_loader"
MAIN_PROCESS = -1


class LoaderEvents:
    """What is told of loaders: a base with empty methods. None of them may raise."""

    def fetch_begins(self, loader: int, *, first: bool) -> bool:
        """A batch is waited for; False where that concerns nobody, and nothing more is told."""
        return False

    def fetch_ends(self, batch: Any) -> None:
        """The batch is there."""

    def fetch_fails(self) -> None:
        """There is no further batch, or the loader has failed."""

    def loaded(self, start_ns: int, cpu_s: float, pictures: int) -> None:
        """This process has loaded a batch, from `start_ns` until now."""

    def workers_start(self) -> None:
        """Processes of a loader are about to be started."""

    def workers_started(self, start_ns: int, loading: Loading) -> None:
        """Processes of a loader have been started, from `start_ns` until now."""

    def loader_seen(self, loader: int, loading: Loading, batches: int | None) -> None:
        """A loader begins an epoch of so many batches; None: it does not know."""


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
    def init(self: Any, loader: Any) -> None:
        original(self, loader)
        told = events()
        if told is not None:
            setattr(self, LOADER, id(loader))
            told.loader_seen(id(loader), loading_of(loader), _batches(loader))

    return init


def _workers_started(events: _Events, original: _Original) -> _Original:
    @functools.wraps(original)
    def init(self: Any, loader: Any) -> None:
        told = events()
        began = perf_counter_ns()
        if told is not None:
            told.workers_start()
        original(self, loader)
        if told is not None:
            told.workers_started(began, loading_of(loader))

    return init


def _waited_for(events: _Events, original: _Original) -> _Original:
    @functools.wraps(original)
    def next_batch(self: Any) -> Any:
        told = events()
        loader = getattr(self, LOADER, 0)
        if told is None or not told.fetch_begins(
            loader, first=not getattr(self, "_num_yielded", 1)
        ):
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
        asked_for = len(index) if self.auto_collation and hasattr(index, "__len__") else 0
        told.loaded(began, cpu, pictures_of(batch) or asked_for)
        return batch

    return fetch


def loading_of(loader: Any) -> Loading:
    """How a DataLoader is set up."""
    sized = loader._dataset_kind == 0 and hasattr(loader.dataset, "__len__")
    return Loading(
        kind="DataLoader",
        workers=loader.num_workers,
        pin_memory=bool(loader.pin_memory),
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=bool(loader.persistent_workers),
        batch_size=loader.batch_size or getattr(loader.batch_sampler, "batch_size", None),
        pictures=len(loader.dataset) if sized else None,
    )


def _batches(loader: Any) -> int | None:
    # To ask a loader of an iterable data set for its length makes torch warn when it is wrong.
    if loader._dataset_kind != 0:
        return None
    try:
        return len(loader)
    except TypeError:
        return None


def pictures_of(batch: Any, depth: int = 4) -> int:
    """How many pictures a batch holds: the first dimension of its first tensor; 0 without one."""
    if isinstance(batch, torch.Tensor):
        return int(batch.shape[0]) if batch.dim() else 0
    if depth:
        parts: Iterable[Any] = ()
        if isinstance(batch, Mapping):
            parts = batch.values()
        elif isinstance(batch, (list, tuple)):
            parts = batch
        for part in parts:
            count = pictures_of(part, depth - 1)
            if count:
                return count
    return 0


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
