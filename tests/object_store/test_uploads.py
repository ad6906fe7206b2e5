"""Parts that are not what was announced, and uploads that end with their bucket."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clary.object_store.errors import LongerThanAnnounced
from clary.object_store.objects import Description
from clary.object_store.store import ObjectStore

MIB = 1 << 20
SMALLEST = 5 * MIB


def test_a_part_that_is_longer_than_announced_leaves_its_neighbour(
    store: ObjectStore, bucket: str
) -> None:
    upload = store.uploads.begin(bucket, "big", Description())
    first = store.uploads.put_part(upload, 1, [b"1" * SMALLEST], size=SMALLEST)
    third = store.uploads.put_part(upload, 3, [b"3" * SMALLEST], size=SMALLEST)
    with pytest.raises(LongerThanAnnounced, match="5242880"):
        store.uploads.put_part(upload, 2, [b"2" * SMALLEST, b"over"], size=SMALLEST)
    second = store.uploads.put_part(upload, 2, [b"2" * SMALLEST], size=SMALLEST)
    store.uploads.complete(upload, [first, second, third])
    with store.open(bucket, "big").file as file:
        assert file.read() == b"1" * SMALLEST + b"2" * SMALLEST + b"3" * SMALLEST


def test_a_bucket_takes_its_uploads_along(store: ObjectStore, bucket: str, root: Path) -> None:
    upload = store.uploads.begin(bucket, "big", Description())
    store.uploads.put_part(upload, 1, [b"x" * MIB])
    store.delete_bucket(bucket)
    assert list((root / ".clary" / "uploads").iterdir()) == []
    store.create_bucket(bucket)
    assert store.uploads.under_way(bucket) == []


def test_uploads_of_a_bucket_that_was_removed_by_hand_are_cleared(root: Path) -> None:
    store = ObjectStore(root)
    store.create_bucket("pictures")
    upload = store.uploads.begin("pictures", "big", Description())
    store.uploads.put_part(upload, 1, [b"x" * MIB])
    store.close()
    shutil.rmtree(root / "pictures")
    store = ObjectStore(root)
    assert list((root / ".clary" / "uploads").iterdir()) == []
    store.create_bucket("pictures")
    assert store.uploads.under_way("pictures") == []
    store.close()
