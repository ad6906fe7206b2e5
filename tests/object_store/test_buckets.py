"""What becomes of a bucket's name, and of all that belongs to a bucket when it goes."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from clary.object_store.errors import BucketNotEmpty, NoSuchBucket
from clary.object_store.store import ObjectStore


@pytest.mark.parametrize("shape", ["{folder}/link", "../link", "pictures/../../link", ".clary"])
def test_a_name_that_is_a_path_leads_to_no_link(
    store: ObjectStore, bucket: str, root: Path, shape: str
) -> None:
    link = root.parent / "link"
    link.symlink_to(root.parent)
    name = shape.format(folder=root.parent)
    assert not store.is_linked(name)
    with pytest.raises(NoSuchBucket):
        store.unlink(name)
    assert link.is_symlink()


@pytest.mark.parametrize("key", ["plain", "folder/plain", "aside//key"])
def test_what_is_acknowledged_while_a_bucket_is_deleted_stays(store: ObjectStore, key: str) -> None:
    acknowledged = threading.Event()

    def put_without_end() -> None:
        while not acknowledged.is_set():
            try:
                store.put("brief", key, io.BytesIO(b"kept"))
            except NoSuchBucket:
                continue
            acknowledged.set()

    for _ in range(60):
        acknowledged.clear()
        writer = threading.Thread(target=put_without_end)
        writer.start()
        while not acknowledged.is_set():
            store.create_bucket("brief")
            try:
                store.delete_bucket("brief")
            except BucketNotEmpty:
                break
        writer.join()
        assert [info.key for info in store.list("brief").objects] == [key]
        store.delete("brief", key)
        store.delete_bucket("brief")


def test_a_file_put_aside_by_hand_keeps_its_bucket(
    store: ObjectStore, bucket: str, root: Path
) -> None:
    aside = root / ".clary" / "aside" / bucket
    aside.mkdir(parents=True)
    (aside / "note").write_text("by hand")
    with pytest.raises(BucketNotEmpty):
        store.delete_bucket(bucket)
    assert (aside / "note").read_text() == "by hand"
    assert store.has_bucket(bucket)
