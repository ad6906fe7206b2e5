"""Pages of a bucket in the order of S3: by the bytes of the keys.

Names come from the index by range; the state of each file on the page comes from the disk, so
what was changed or removed by hand is seen at once. A delimiter skips: after `photos/` the search
goes on behind everything that begins with `photos/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from clary.object_store import descriptions
from clary.object_store.index import Index, ObjectRow
from clary.object_store.names import successor
from clary.object_store.objects import Listing, ObjectInfo
from clary.object_store.places import Bucket

# Is told of rows whose files are not there.
Tidy = Callable[[Bucket, "list[ObjectRow]"], None]
_CHUNK = 256


def list_page(
    index: Index,
    tidy: Tidy,
    bucket: Bucket,
    *,
    prefix: bytes,
    delimiter: bytes,
    after: bytes,
    limit: int,
) -> Listing:
    """Objects and common prefixes behind `after`, at most `limit` in all."""
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    last = ""
    if limit <= 0:
        return Listing((), (), None)
    search = _Search(index, bucket, prefix, max(prefix, _behind(prefix, delimiter, after)), limit)
    following: str | None = None
    for info in search.found():
        if len(objects) + len(prefixes) == limit:
            following = last
            break
        common = common_prefix(info.key.encode(), prefix, delimiter)
        if common is None:
            objects.append(info)
            last = info.key
        else:
            last = common.decode()
            prefixes.append(last)
            search.skip(successor(common))
    if search.gone:
        tidy(bucket, search.gone)
    return Listing(tuple(objects), tuple(prefixes), following)


def common_prefix(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """What a key is rolled up into; None when it is listed itself."""
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if at < 0 else key[: at + len(delimiter)]


def _behind(prefix: bytes, delimiter: bytes, after: bytes) -> bytes:
    """Where the search begins: behind a key, or behind all of a common prefix."""
    if not after:
        return b""
    if after.startswith(prefix) and common_prefix(after, prefix, delimiter) == after:
        return successor(after) or after + b"\0"
    return after + b"\0"


class _Search:
    """Runs through the living objects of a range, and can be told to skip."""

    def __init__(
        self, index: Index, bucket: Bucket, prefix: bytes, begin: bytes, limit: int
    ) -> None:
        self._index = index
        self._bucket = bucket
        self._end = successor(prefix) if prefix else None
        self._begin: bytes | None = begin
        self._chunk = min(_CHUNK, limit + 1)
        self.gone: list[ObjectRow] = []

    def skip(self, begin: bytes | None) -> None:
        """Go on at `begin`; None is behind everything."""
        self._begin = begin

    def found(self) -> Iterator[ObjectInfo]:
        """One object after another; rows without a file are noted in `gone`."""
        while self._begin is not None:
            rows = self._index.range(self._bucket.name, self._begin, self._end, self._chunk)
            whole = len(rows) < self._chunk
            for key, group in groupby(rows, key=lambda row: row.key):
                if self._begin is None or key < self._begin:
                    continue
                self._begin = key + b"\0"
                candidates = list(group)
                if not whole and key == rows[-1].key and len(candidates) < len(rows):
                    self._begin = key  # there may be more rows of this key in the next chunk
                    break
                info = self._living(candidates)
                if info is None:
                    self.gone.extend(candidates)
                else:
                    yield info
            if whole:
                break
            self._chunk = _CHUNK

    def _living(self, rows: list[ObjectRow]) -> ObjectInfo | None:
        for aside in (False, True):
            if aside and not any(row.aside for row in rows):
                continue
            state = self._bucket.stat(rows[0].key, aside)
            if state is not None:
                row = next((row for row in rows if descriptions.agrees(row, state)), None)
                return descriptions.describe(self._bucket, rows[0].key, state, row, aside)
        return None
