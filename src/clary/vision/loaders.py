"""Batches of pictures, decoded and transformed by threads ahead of their use.

Who owns what: a `BatchLoader` is immutable and may be shared; each iterator that `batches` gives
owns its threads and ends them when it is exhausted, closed, or left by an error. Decoding and
resizing release the interpreter lock, so threads are enough and nothing is copied between
processes.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from clary.formats.timeline import Loading
from clary.vision.datasets.dataset import PictureSource, Split
from clary.vision.decoding import decode_picture, default_workers
from clary.vision.geometry import Image, Transform
from clary.vision.observer import BatchLoaded
from clary.vision.picture_cache import PictureCache
from clary.vision.sampling import Indices, Order, Weights, epoch_order, shard_length
from clary.vision.transforms import augmentation_rng

PREFETCHED_BATCHES = 2
# Small enough to spread a batch over the threads, large enough to make the hand-over cheap.
LARGEST_TASK = 16

Fill = Callable[[int, npt.NDArray[np.uint8]], None]
Told = Callable[[BatchLoaded], None]


@dataclass(frozen=True)
class Batch:
    """Pictures as the network's normalisation expects them.

    `images` is uint8 of shape (B, S, S, 3), `labels` int64 of shape (B,), `indices` int64 of
    shape (B,): the positions in the split.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: Indices

    def __len__(self) -> int:
        return len(self.indices)


class PictureReader:
    """Decoded pictures of a source by index, through the picture cache where there is one.

    With a cache, a picture is always reduced to the cache's size first, whether or not it was
    found there: what a caller gets does not depend on what the cache holds.
    """

    def __init__(
        self, source: PictureSource, *, min_side: int, cache: PictureCache | None = None
    ) -> None:
        self._source = source
        self._cache = cache
        self._min_side = min_side if cache is None else 2 * cache.side

    def __call__(self, index: int) -> Image:
        """Give the picture as uint8 of shape (height, width, 3).

        Raises:
            UnreadablePicture: it cannot be decoded.
            DataError: the file is gone.
        """
        if self._cache is not None:
            cached = self._cache.get(index)
            if cached is not None:
                return cached
        content = self._source.read(index)
        if not isinstance(content, bytes):
            return content
        image: Image = decode_picture(content, self._source.name(index), min_side=self._min_side)
        if self._cache is not None:
            image = self._cache.reduced(image)
            self._cache.put(index, image)
        return image


class BatchLoader:
    """The batches of a split, epoch by epoch.

    The order is a function of (seed, epoch), the augmentation of a picture of (seed, view or
    epoch, index): any number of threads and any restart give identical batches.

    Args:
        split: pictures and labels.
        transform: called on every decoded picture, from several threads.
        batch_size: pictures a batch on this process, at least 1; the last may be smaller.
        seed: of the order and of the augmentations.
        shuffle: a new order every epoch (training) or the split's own (evaluation). When
            shuffled, all of `world_size` processes get the same number of pictures; otherwise
            they get disjoint shares.
        workers: threads that decode; None is one a core.
        rank, world_size: which share of how many this process gets.
        drop_last: leave a smaller last batch out, unless it is the only one.
        weights: of shape (N,); pictures are drawn with replacement in proportion to them.
        picture_cache: decoded pictures that are kept between epochs and runs.
        pin_memory: put batches where a GPU copies them from without waiting.
        told: hears of each batch what its loading took, on the thread that waits for it.

    Raises:
        ValueError: a bound above is not kept.
    """

    def __init__(
        self,
        split: Split,
        transform: Transform,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        workers: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        weights: Weights | None = None,
        picture_cache: PictureCache | None = None,
        pin_memory: bool = False,
        told: Told | None = None,
    ) -> None:
        if batch_size < 1 or (workers is not None and workers < 1):
            raise ValueError(f"batch_size {batch_size} and workers {workers} must be 1 or more")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not within world_size {world_size}")
        if weights is not None and len(weights) != len(split):
            raise ValueError(f"{len(weights)} weights were given for {len(split)} pictures")
        self._split = split
        self._transform = transform
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._workers = workers or default_workers()
        self._rank = rank
        self._world_size = world_size
        self._drop_last = drop_last
        self._weights = weights
        self._pin_memory = pin_memory
        self._told = told
        self._is_cached = picture_cache is not None
        self._read = PictureReader(split.source, min_side=transform.min_side, cache=picture_cache)

    @property
    def batch_size(self) -> int:
        """Pictures a batch on this process."""
        return self._batch_size

    @property
    def loading(self) -> Loading:
        """How it is set up."""
        return Loading(
            kind="clary",
            workers=self._workers,
            pin_memory=self._pin_memory,
            prefetch_factor=PREFETCHED_BATCHES,
            batch_size=self._batch_size,
            pictures=self.pictures(),
            cached=self._is_cached,
        )

    def pictures(self) -> int:
        """How many pictures this process visits in an epoch."""
        share = shard_length(
            len(self._split),
            padded=self._shuffle or self._weights is not None,
            rank=self._rank,
            world_size=self._world_size,
        )
        return share - share % self._batch_size if self._drops(share) else share

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(self.pictures() / self._batch_size)

    def _drops(self, share: int) -> bool:
        return self._drop_last and share >= self._batch_size

    def order(self, epoch: int) -> Order:
        """What this process visits in an epoch."""
        order = epoch_order(
            len(self._split),
            seed=self._seed,
            epoch=epoch,
            shuffle=self._shuffle,
            weights=self._weights,
            rank=self._rank,
            world_size=self._world_size,
        )
        kept = self.pictures()
        return Order(order.indices[:kept], order.occurrences[:kept])

    def batches(
        self, epoch: int, view: int | None = None, start: int = 0
    ) -> Generator[Batch, None, None]:
        """Give the batches of an epoch, from batch `start` on.

        `view` takes the place of the epoch in the randomness of the augmentations, so that
        epochs of the same view show the same pictures; view 0 is the evaluation transform.

        Raises:
            UnreadablePicture: a picture cannot be decoded; raised where the batch is awaited.
            DataError: a file is gone.
        """
        order = self.order(epoch)
        turn = epoch if view is None else view
        transform = self._transform if view is None else self._transform.for_view(view)

        def fill(position: int, out: npt.NDArray[np.uint8]) -> None:
            index = int(order.indices[position])
            # Copies within a view are the same picture, as they are in the feature cache.
            occurrence = int(order.occurrences[position]) if view is None else 0
            rng = augmentation_rng(self._seed, turn, index, occurrence)
            out[...] = transform(self._read(index), rng)

        side = transform.image_size
        ready = filled_batches(
            len(order),
            fill,
            (side, side, 3),
            batch_size=self._batch_size,
            workers=self._workers,
            first=start * self._batch_size,
            pin_memory=self._pin_memory,
            told=self._told,
        )
        for positions, images in ready:
            indices = order.indices[positions]
            yield Batch(images, torch.from_numpy(self._split.labels[indices]), indices)


def filled_batches(
    count: int,
    fill: Fill,
    shape: tuple[int, ...],
    *,
    batch_size: int,
    workers: int,
    first: int = 0,
    pin_memory: bool = False,
    told: Told | None = None,
) -> Generator[tuple[slice, torch.Tensor], None, None]:
    """Give batches in order, each filled by `fill(position, out)` calls on several threads.

    At most `PREFETCHED_BATCHES` are made ahead of the one in use, so memory is bounded. An
    error of `fill` is raised where its batch is awaited; leaving the iterator early stops the
    threads.

    Args:
        count: positions 0…count-1 are filled.
        fill: writes one position into a uint8 array of shape `shape`.
        shape: of one position.
        batch_size: positions a batch.
        workers: threads.
        first: the position to begin with.
        pin_memory: allocate batches in page-locked memory.
        told: hears of each batch what filling it took.

    Returns:
        The positions, and uint8 of shape (B, *shape).
    """
    task_size = max(1, min(LARGEST_TASK, -(-batch_size // workers)))
    starts = iter(range(first, count, batch_size))
    pending: deque[tuple[slice, torch.Tensor, list[Future[_Work]]]] = deque()

    def run(begin: int, images: npt.NDArray[np.uint8]) -> _Work:
        began, cpu = time.perf_counter_ns(), time.thread_time_ns()
        for offset, out in enumerate(images):
            fill(begin + offset, out)
        return _Work(began, time.perf_counter_ns(), time.thread_time_ns() - cpu)

    with _worker_threads(workers) as threads:

        def submit() -> None:
            for begin in starts:
                end = min(count, begin + batch_size)
                images = torch.empty(
                    (end - begin, *shape), dtype=torch.uint8, pin_memory=pin_memory
                )
                memory = images.numpy()
                tasks = [
                    threads.submit(run, at, memory[at - begin : at - begin + task_size])
                    for at in range(begin, end, task_size)
                ]
                pending.append((slice(begin, end), images, tasks))
                return

        for _ in range(PREFETCHED_BATCHES + 1):
            submit()
        while pending:
            positions, images, tasks = pending.popleft()
            done = [task.result() for task in tasks]
            if told is not None:
                told(_batch_loaded(done, len(images)))
            submit()
            yield positions, images


class _Work(NamedTuple):
    """When a thread filled its part of a batch, and what it computed for it."""

    began_ns: int
    ended_ns: int
    cpu_ns: int


def _batch_loaded(done: Sequence[_Work], pictures: int) -> BatchLoaded:
    began_ns = min(part.began_ns for part in done)
    seconds = (max(part.ended_ns for part in done) - began_ns) / 1e9
    return BatchLoaded(began_ns, seconds, sum(part.cpu_ns for part in done) / 1e9, pictures)


@contextmanager
def _worker_threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(workers, thread_name_prefix="clary-pictures")
    try:
        yield threads
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
