"""One view's features on the disk, filled row by row, kept across kills and full disks.

    rows            float32 (N, D), row-major
    progress.json   how many rows are there, from the first on
    building        locked by the process that computes

Rows are on the disk (fsync) before `progress.json` counts them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np
import numpy.typing as npt

from clary.errors import FormatError, StorageError
from clary.formats.files import read_json, storage_errors, write_json
from clary.settings import GIB
from clary.vision.caching import CacheStore, allocate, locked

FeatureRows = npt.NDArray[np.float32]
Message = Callable[[str], None]


class ViewFile:
    """Features of one view; falls back on memory when the cache has no room.

    Owned by one thread. Open it in `with`: the cache keeps the file for as long.

    Args:
        store: where it is kept.
        key: of everything that the features depend on.
        view: its number.
        shape: rows and columns.
        message: told when nothing can be kept.
    """

    def __init__(
        self, store: CacheStore, key: str, view: int, shape: tuple[int, int], message: Message
    ) -> None:
        self.view = view
        self._shape = shape
        self._store = store
        self._message = message
        self._entry = store.open("features", key)
        self._rows_path = self._entry.folder / "rows"
        self._progress_path = self._entry.folder / "progress.json"
        self._memory: FeatureRows | None = None
        self._file: int | None = None
        self._kept = True

    @property
    def done(self) -> int:
        """How many rows are on the disk, from the first on."""
        try:
            progress = read_json(self._progress_path)
            size = self._rows_path.stat().st_size
        except (FormatError, FileNotFoundError):
            return 0
        same = isinstance(progress, dict) and progress.get("shape") == list(self._shape)
        return int(progress["done"]) if same and size >= self._bytes else 0

    @property
    def complete(self) -> bool:
        """Whether every row is on the disk."""
        return self.done == self._shape[0]

    def building(self) -> AbstractContextManager[None]:
        """Be the only one, among all processes, that fills this view."""
        return locked(
            self._entry.folder / "building",
            lambda: self._message("another run computes the same features: waiting for it"),
        )

    def prepare(self) -> None:
        """Claim the room for all rows, on the disk or else in memory."""
        try:
            with storage_errors(self._rows_path):
                if self.done == 0:
                    # Damaged: the count must not outlive the rows that it counted.
                    self._progress_path.unlink(missing_ok=True)
                self._file = os.open(self._rows_path, os.O_RDWR | os.O_CREAT, 0o666)
            more = self._bytes - os.fstat(self._file).st_size
            if more > 0 and not self._store.make_room(more):
                limit = self._store.limit_bytes / GIB
                self._keep_in_memory(f"the cache is full (CLARY_CACHE_GB is {limit:g})")
                return
            allocate(self._file, self._bytes, self._rows_path)
        except StorageError as error:
            self._keep_in_memory(str(error))

    def write(self, first: int, rows: FeatureRows) -> None:
        """Put rows in place, from row `first` on; `prepare` comes before."""
        if self._memory is not None:
            self._memory[first : first + len(rows)] = rows
        elif self._file is not None:
            content = np.ascontiguousarray(rows, dtype=np.float32).reshape(-1).view(np.uint8)
            offset = first * self._shape[1] * 4
            while len(content):
                written = os.pwrite(self._file, content.data, offset)
                content, offset = content[written:], offset + written

    def flush(self, done: int) -> None:
        """Put the first `done` rows on the disk for good."""
        if self._file is None or self._memory is not None or not self._kept:
            return
        try:
            with storage_errors(self._rows_path):
                os.fsync(self._file)
            write_json(self._progress_path, {"shape": list(self._shape), "done": done})
        except StorageError as error:
            self._kept = False
            self._message(f"features are not kept for the next run: {error}")

    def rows(self) -> FeatureRows:
        """All rows, mapped from the file; changes to them stay in this process."""
        if self._memory is not None:
            return self._memory
        return np.memmap(self._rows_path, dtype=np.float32, mode="c", shape=self._shape)

    def close(self) -> None:
        """Let the cache have the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._entry.close()

    def __enter__(self) -> ViewFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _bytes(self) -> int:
        return self._shape[0] * self._shape[1] * 4

    def _keep_in_memory(self, reason: str) -> None:
        self._memory = np.zeros(self._shape, dtype=np.float32)
        self._message(f"features are held in memory and not kept for the next run: {reason}")
