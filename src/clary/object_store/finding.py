"""Finding the object of a key as it is now, while others change it.

A file is looked at first and its description second, and between the two the file may be replaced
and the old description forgotten. So a file without a description counts as one that was dropped
in by hand only when a second look finds the same file again.
"""

from __future__ import annotations

import os

from clary.object_store import descriptions
from clary.object_store.index import Index, ObjectRow
from clary.object_store.objects import ObjectInfo, OpenObject
from clary.object_store.places import Bucket

# Each look that finds another file means that a writer was faster in between.
_LOOKS = 100
_Identity = tuple[int, int, int] | None


class Finding:
    """Reads the objects of a store. Any thread may call."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def current(self, bucket: Bucket, key: bytes) -> ObjectInfo | None:
        """The object of a key; None where there is none."""
        earlier: list[_Identity] = []
        for _ in range(_LOOKS):
            state, aside = self._look(bucket, key)
            rows = [] if bucket.linked else self._index.rows(bucket.name, key)
            if state is None:
                if not rows or None in earlier:
                    return None
            else:
                row = _describing(rows, state)
                if row is not None or bucket.linked or _identity(state) in earlier:
                    return descriptions.describe(bucket, key, state, row, aside)
            earlier.append(_identity(state))
        return None

    def open(self, bucket: Bucket, key: bytes) -> OpenObject | None:
        """The object of a key with its bytes; None where there is none.

        Raises:
            PermissionError: the file may not be read.
        """
        earlier: list[_Identity] = []
        for _ in range(_LOOKS):
            opened = bucket.open(key)
            rows = [] if bucket.linked else self._index.rows(bucket.name, key)
            if opened is None:
                if not rows or None in earlier:
                    return None
                earlier.append(None)
                continue
            descriptor, aside = opened
            state = os.fstat(descriptor)
            row = _describing(rows, state)
            if row is not None or bucket.linked or _identity(state) in earlier:
                info = descriptions.describe(bucket, key, state, row, aside)
                return OpenObject(info, os.fdopen(descriptor, "rb", buffering=0))
            os.close(descriptor)
            earlier.append(_identity(state))
        return None

    @staticmethod
    def _look(bucket: Bucket, key: bytes) -> tuple[os.stat_result | None, bool]:
        for aside in (False, True):
            state = bucket.stat(key, aside)
            if state is not None and (aside or bucket.linked or bucket.is_inside(key)):
                return state, aside
        return None, False


def _describing(rows: list[ObjectRow], state: os.stat_result) -> ObjectRow | None:
    return next((row for row in rows if descriptions.agrees(row, state)), None)


def _identity(state: os.stat_result | None) -> _Identity:
    return None if state is None else (state.st_ino, state.st_mtime_ns, state.st_size)
