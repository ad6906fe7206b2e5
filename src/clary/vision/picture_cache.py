"""Decoded pictures, reduced to a short side, kept on the disk between epochs and runs.

    pixels    the pictures one after the other, uint8 (height, width, 3) each
    index     one row of two int64 per picture: where it begins, and height << 32 | width;
              a size of 0 means that it is not there
    tail      int64: where the next picture is to be written

Reading is one `pread` a picture, so the memory of a process does not grow with the cache. Several
threads and processes may fill one cache: room is claimed under a file lock, and a row is written
only once its pixels are on the disk (fsync), so that neither a kill nor a power cut leaves a row
that points at nothing; they cost the last seconds of decoding. When the disk or the limit is
reached, the cache says so once and keeps what it has.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from clary.errors import StorageError
from clary.formats.files import storage_errors
from clary.formats.preprocessing import Interpolation
from clary.settings import GIB
from clary.vision.caching import CacheEntry, CacheStore, allocate, cache_key
from clary.vision.datasets.dataset import PictureSource
from clary.vision.geometry import RESAMPLING, resized_size

Image = npt.NDArray[np.uint8]

VERSION = 1
GROWTH_BYTES = 64 * 1024 * 1024
SECONDS_BETWEEN_FLUSHES = 5.0
OPEN_FLAGS = os.O_RDWR | os.O_CREAT


class PictureCache:
    """Pictures of one source at one size, by index. Use it in `with`; any thread may call it.

    Args:
        store: bounds it, together with everything else that is cached.
        source: whose pictures these are.
        side: short side in pixels to which larger pictures are reduced; with the
            preprocessing's `resize_size` and `interpolation`, the evaluation transform gives
            from a reduced picture exactly what the two steps resize and crop give.
        interpolation: how they are reduced.
        message: called once, with a sentence, when no more pictures can be kept.

    Raises:
        StorageError: the cache folder cannot be written.
    """

    def __init__(
        self,
        store: CacheStore,
        source: PictureSource,
        side: int,
        *,
        interpolation: Interpolation = "bilinear",
        message: Callable[[str], None] | None = None,
    ) -> None:
        self.side = side
        self._store = store
        self._message = message
        self._interpolation = interpolation
        self._count = len(source)
        key = cache_key(
            {
                "version": VERSION,
                "source": source.fingerprint(),
                "side": side,
                "interpolation": interpolation,
            }
        )
        self._entry: CacheEntry = store.open("pictures", key)
        folder = self._entry.folder
        with storage_errors(folder):
            self._pixels = os.open(folder / "pixels", OPEN_FLAGS, 0o666)
            self._tail = os.open(folder / "tail", OPEN_FLAGS, 0o666)
            with (folder / "index").open("ab") as index:
                allocate(index.fileno(), self._count * 16, folder / "index")
            self._index = np.memmap(
                folder / "index", dtype=np.int64, mode="r+", shape=(self._count, 2)
            )
            self._forget_what_is_missing()
        self._lock = threading.Lock()
        self._fresh: dict[int, tuple[int, int]] = {}
        self._flushed_at = time.monotonic()
        self._full = False
        self._closed = False

    def __len__(self) -> int:
        """How many pictures it holds."""
        return int(np.count_nonzero(self._index[:, 1])) + len(self._fresh)

    def get(self, index: int) -> Image | None:
        """The picture as it was put, or None when it is not there."""
        offset, size = self._fresh.get(index) or (int(v) for v in self._index[index])
        if size == 0:
            return None
        image = np.empty((size >> 32, size & 0xFFFFFFFF, 3), dtype=np.uint8)
        if os.preadv(self._pixels, [image.reshape(-1).data], offset) != image.nbytes:
            return None
        return image

    def put(self, index: int, image: Image) -> None:
        """Keep a picture of shape (height, width, 3), as long as there is room."""
        if self._full:
            return
        pixels = np.ascontiguousarray(image)
        try:
            offset = self._claim(pixels.nbytes)
            if offset is None:
                return
            written = os.pwrite(self._pixels, pixels.reshape(-1).data, offset)
        except (OSError, StorageError) as error:
            self._stop(f"the picture cache cannot grow ({error})")
            return
        if written == pixels.nbytes:
            with self._lock:
                self._fresh[index] = (offset, image.shape[0] << 32 | image.shape[1])
        if time.monotonic() - self._flushed_at > SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def reduced(self, image: Image) -> Image:
        """The picture with `side` as its short side, or as it is when that is smaller."""
        height, width = image.shape[:2]
        if min(height, width) <= self.side:
            return image
        picture = PillowImage.fromarray(image)
        size = resized_size(width, height, self.side)
        return np.asarray(picture.resize(size, RESAMPLING[self._interpolation]))

    def flush(self) -> None:
        """Put on the disk what was added, and let other processes see it."""
        with self._lock:
            self._flushed_at = time.monotonic()
            fresh = dict(self._fresh)
        if not fresh:
            return
        try:
            os.fsync(self._pixels)
            # A tail that lags behind the index would let later pictures overwrite earlier ones.
            os.fsync(self._tail)
        except OSError as error:
            self._stop(f"the picture cache cannot be written ({error.strerror})")
            return
        for index, (offset, size) in fresh.items():
            self._index[index, 0] = offset
            self._index[index, 1] = size
        with self._lock:
            for index in fresh:
                self._fresh.pop(index, None)

    def close(self) -> None:
        """Flush, and let go of the entry."""
        if self._closed:
            return
        self._closed = True
        self.flush()
        with self._tail_locked() as end:
            os.ftruncate(self._pixels, end)
        del self._index
        os.close(self._pixels)
        os.close(self._tail)
        self._entry.close()

    def __enter__(self) -> PictureCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _claim(self, size_bytes: int) -> int | None:
        """Where `size_bytes` may be written; None when there is no room for them."""
        with self._lock, self._tail_locked() as offset:
            end = offset + size_bytes
            allocated = os.fstat(self._pixels).st_size
            if end > allocated:
                grown = max(end, allocated + GROWTH_BYTES)
                if not self._store.make_room(grown - allocated):
                    limit = self._store.limit_bytes / GIB
                    self._stop(f"the picture cache is full (CLARY_CACHE_GB is {limit:g})")
                    return None
                allocate(self._pixels, grown, self._entry.folder / "pixels")
            os.pwrite(self._tail, end.to_bytes(8, "little"), 0)
            return offset

    def _forget_what_is_missing(self) -> None:
        """Empty the index when it points at pixels that are gone: they would be read as zeros.

        Whoever fills the entry moves `tail` after `pixels` and before `index`, so this is never
        the state of an entry in use.
        """
        with self._tail_locked() as end:
            sizes = self._index[:, 1]
            ends = self._index[:, 0] + (sizes >> 32) * (sizes & 0xFFFFFFFF) * 3
            last = int(ends[sizes != 0].max(initial=0))
            if last > end or end > os.fstat(self._pixels).st_size:
                self._index[:] = 0
                self._index.flush()
                os.pwrite(self._tail, bytes(8), 0)

    @contextmanager
    def _tail_locked(self) -> Iterator[int]:
        """Keep other processes from claiming room; gives where the free room begins."""
        fcntl.flock(self._tail, fcntl.LOCK_EX)
        try:
            yield int.from_bytes(os.pread(self._tail, 8, 0), "little")
        finally:
            fcntl.flock(self._tail, fcntl.LOCK_UN)

    def _stop(self, reason: str) -> None:
        if not self._full and self._message is not None:
            self._message(f"{reason}: the other pictures are decoded again in every epoch")
        self._full = True
