"""Pages of a bucket in the order of S3: by the bytes of the keys.

Names come from the index by range; the state of each file on the page comes from the disk, so
what was changed or removed by hand is seen at once. A delimiter skips: after `photos/` the search
goes on behind everything that begins with `photos/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from clary.object_store import descriptions
from clary.object_store.finding import Finding
from clary.object_store.index import Index, ObjectRow
from clary.object_store.names import successor
from clary.object_store.objects import Listing, ObjectInfo
from clary.object_store.places import Bucket

# Is told of rows whose files are not there.
Tidy = Callable[[Bucket, "list[ObjectRow]"], None]
_CHUNK = 256


def list_page(
    index: Index,
    finding: Finding,
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
    begin = max(prefix, _behind(prefix, delimiter, after))
    search = _Search(index, finding, bucket, begin, successor(prefix) if prefix else None)
    search.chunk = min(_CHUNK, limit + 1)
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
        self, index: Index, finding: Finding, bucket: Bucket, begin: bytes, end: bytes | None
    ) -> None:
        self._index = index
        self._finding = finding
        self._bucket = bucket
        self._begin: bytes | None = begin
        self._end = end
        self.chunk = _CHUNK
        self.gone: list[ObjectRow] = []

    def skip(self, begin: bytes | None) -> None:
        """Go on at `begin`; None is behind everything."""
        self._begin = begin

    def found(self) -> Iterator[ObjectInfo]:
        """One object after another; rows without a file are noted in `gone`."""
        while self._begin is not None:
            rows = self._index.range(self._bucket.name, self._begin, self._end, self.chunk)
            whole = len(rows) < self.chunk
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
            self.chunk = _CHUNK

    def _living(self, rows: list[ObjectRow]) -> ObjectInfo | None:
        key, aside = rows[0].key, rows[0].aside
        # A key with a natural path that lies aside may lie at both for a moment.
        unsure = aside and self._bucket.natural_file(key) is not None
        state = None if unsure else self._bucket.stat(key, aside)
        if state is not None:
            for row in rows:
                if row.aside == aside and descriptions.agrees(row, state):
                    return descriptions.describe(self._bucket, key, state, row, aside)
        # Dropped in by hand, or changed since the index was read.
        return self._finding.current(self._bucket, key)
