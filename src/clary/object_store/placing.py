"""Putting finished files under their keys, and taking them away.

An object appears in one step: its file is complete and on the disk, its description stands in the
index under the file's identity, and then the file gets its name, which is forced to the disk before
a put is acknowledged. Whoever reads meanwhile sees the
old object with its description or the new one with its own; a kill at any point leaves the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from zlib import crc32

from clary.errors import StorageError
from clary.formats.files import storage_errors
from clary.object_store import descriptions
from clary.object_store.finding import Finding
from clary.object_store.index import Index, ObjectRow
from clary.object_store.objects import Description, ObjectInfo
from clary.object_store.places import Bucket, Places, force_names, make_parents, prune

# Is given the object as it is, or None; raises to refuse the change.
Condition = Callable[["ObjectInfo | None"], None]
_STRIPES = 256
# A folder may be removed as empty by a delete just before a file is moved there.
_ATTEMPTS = 100


class Placing:
    """Changes the objects of a store. Changes of one key take turns; any thread may call."""

    def __init__(self, places: Places, index: Index, finding: Finding) -> None:
        self._places = places
        self._index = index
        self._finding = finding
        self._locks = [threading.RLock() for _ in range(_STRIPES)]

    def lock(self, bucket: Bucket, key: bytes) -> threading.RLock:
        """Held while a key is changed."""
        return self._locks[crc32(key, crc32(bucket.path)) % _STRIPES]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody changes any key meanwhile. Whoever holds one key's lock asks for no other."""
        with ExitStack() as held:
            for lock in self._locks:
                held.enter_context(lock)
            yield

    def place(
        self,
        bucket: Bucket,
        key: bytes,
        file: Path,
        description: Description,
        condition: Condition | None = None,
    ) -> ObjectInfo:
        """Give a finished file on the store's disk its key; it is gone from where it was.

        Raises:
            NoSuchBucket: the bucket was deleted meanwhile.
            StorageError: the file cannot be moved.
        """
        with self.lock(bucket, key), storage_errors(file):
            earlier = self._index.rows(bucket.name, key)
            if condition is not None:
                condition(self._finding.current(bucket, key))
            state = os.stat(file)
            details = descriptions.encode(description)
            row = ObjectRow(key, state.st_ino, state.st_mtime_ns, state.st_size, False, details)
            if not self._place_naturally(bucket, row, file):
                row = row._replace(aside=True)
                self._place_aside(bucket, row, file)
            elif any(known.aside for known in earlier):
                with suppress(FileNotFoundError):
                    os.unlink(bucket.aside_file(key))
            stale = [known for known in earlier if known.inode != row.inode]
            if stale:
                self._index.forget(bucket.name, stale)
        return descriptions.describe(bucket, key, state, row, row.aside)

    def _place_naturally(self, bucket: Bucket, row: ObjectRow, file: Path) -> bool:
        natural = bucket.natural_file(row.key)
        if natural is None:
            return False
        self._index.describe(bucket.name, row)
        try:
            self._move(bucket, file, bucket.root + b"/" + bucket.path, natural)
        except (NotADirectoryError, IsADirectoryError):
            # A file is where a folder would have to be, or the other way round.
            return False
        return True

    def _place_aside(self, bucket: Bucket, row: ObjectRow, file: Path) -> None:
        self._index.describe(bucket.name, row)
        self._move(bucket, file, os.fsencode(self._places.root), bucket.aside_file(row.key))

    def _move(self, bucket: Bucket, file: Path, top: bytes, target: bytes) -> None:
        for _ in range(_ATTEMPTS):
            self._places.writable(bucket.name)
            try:
                changed = make_parents(top, target)
                os.rename(os.fsencode(file), target)
            except FileNotFoundError:
                continue
            for folder in (target.rpartition(b"/")[0], *reversed(changed)):
                with suppress(FileNotFoundError):  # removed by hand right now
                    force_names(folder)
            return
        raise StorageError(
            f"{os.fsdecode(target)} cannot be written: its folder is removed again and again"
        )

    def remove(self, bucket: Bucket, key: bytes, condition: Condition | None = None) -> bool:
        """Remove an object; False when there was none.

        Raises:
            StorageError: the file cannot be removed.
        """
        with self.lock(bucket, key):
            if condition is not None:
                condition(self._finding.current(bucket, key))
            removed = False
            # What lies aside first: it would come to light when the natural file is gone.
            for aside in (True, False):
                path = bucket.aside_file(key) if aside else bucket.natural_file(key)
                if path is None or bucket.stat(key, aside) is None:
                    continue
                if not aside and not bucket.is_inside(key):
                    continue
                with storage_errors(Path(os.fsdecode(path))), suppress(FileNotFoundError):
                    os.unlink(path)
                    removed = True
                top = bucket.aside if aside else bucket.path
                prune(bucket.root + b"/" + top, path)
            rows = self._index.rows(bucket.name, key)
            if rows:
                self._index.forget(bucket.name, rows)
        return removed

    def tidy(self, bucket: Bucket, rows: Sequence[ObjectRow]) -> None:
        """Forget rows that describe no file, unless one is being put there right now."""
        for key in {row.key for row in rows}:
            with self.lock(bucket, key):
                if self._finding.current(bucket, key) is None:
                    self._index.forget(bucket.name, [row for row in rows if row.key == key])

    def redescribe(
        self, bucket: Bucket, key: bytes, change: Callable[[ObjectInfo], Description]
    ) -> ObjectInfo | None:
        """Replace the description of an object and leave its bytes; None where there is none."""
        with self.lock(bucket, key):
            info = self._finding.current(bucket, key)
            if info is None:
                return None
            aside = os.fsencode(info.path) == bucket.aside_file(key)
            state = bucket.stat(key, aside)
            if state is None:
                return None
            details = descriptions.encode(change(info))
            row = ObjectRow(key, state.st_ino, state.st_mtime_ns, state.st_size, aside, details)
            self._index.describe(bucket.name, row)
            return descriptions.describe(bucket, key, state, row, aside)
