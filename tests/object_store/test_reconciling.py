"""Files that are dropped in by hand, whatever the folder's times say."""

from __future__ import annotations

import io
import os
import sqlite3
import time
from pathlib import Path

from clary.object_store.store import ObjectStore

LONG_AGO_NS = 1_500_000_000 * 10**9


def keys(store: ObjectStore, bucket: str) -> list[str]:
    return [info.key for info in store.list(bucket).objects]


def test_a_file_is_seen_though_the_folder_got_its_old_time_back(
    store: ObjectStore, bucket: str, root: Path
) -> None:
    folder = root / bucket / "photos"
    store.put(bucket, "photos/a", io.BytesIO(b"x"))
    os.utime(folder, ns=(LONG_AGO_NS, LONG_AGO_NS))
    time.sleep(2.1)  # until the folder counts as read
    assert keys(store, bucket) == ["photos/a"]
    assert keys(store, bucket) == ["photos/a"]
    (folder / "b").write_bytes(b"y")
    os.utime(folder, ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert keys(store, bucket) == ["photos/a", "photos/b"]


def test_an_index_of_an_earlier_version_is_brought_up(root: Path) -> None:
    store = ObjectStore(root)
    store.create_bucket("bucket")
    store.put("bucket", "k", io.BytesIO(b"x"), metadata={"a": "b"})
    assert keys(store, "bucket") == ["k"]
    store.close()
    with sqlite3.connect(root / ".clary" / "index.sqlite") as first:
        first.executescript(
            "DROP TABLE completions; DROP TABLE folders;"
            "CREATE TABLE folders (path BLOB PRIMARY KEY, inode INTEGER, mtime_ns INTEGER)"
            " WITHOUT ROWID; PRAGMA user_version = 1;"
        )
    first.close()
    store = ObjectStore(root)
    (root / "bucket" / "dropped").touch()
    assert keys(store, "bucket") == ["dropped", "k"]
    assert store.info("bucket", "k").metadata == {"a": "b"}
    store.close()
