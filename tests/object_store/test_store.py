"""What jobs and the service ask of a store besides putting and getting."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import threading
import time
from pathlib import Path

import pytest

from clary.object_store.errors import (
    BucketExists,
    BucketIsReadOnly,
    BucketNotEmpty,
    LinkedFolderGone,
    NoSuchBucket,
)
from clary.object_store.objects import Description, ObjectInfo
from clary.object_store.store import ObjectStore


def put(store: ObjectStore, bucket: str, key: str, body: bytes = b"x") -> ObjectInfo:
    return store.put(bucket, key, io.BytesIO(body))


def keys(store: ObjectStore, bucket: str, prefix: str = "") -> list[str]:
    return [info.key for info in store.iterate(bucket, prefix)]


def test_a_finished_file_is_adopted_without_copying(
    store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    packed = tmp_path / "model.tar.gz"
    packed.write_bytes(b"weights")
    info = store.adopt(bucket, "job/output/model.tar.gz", packed, content_type="application/gzip")
    assert info.path.stat().st_ino == packed.stat().st_ino
    assert info.path.read_bytes() == b"weights"
    assert info.etag.endswith("-1")
    packed.unlink()
    assert store.info(bucket, "job/output/model.tar.gz").content_type == "application/gzip"
    put(store, bucket, "job/output/model.tar.gz", b"other")
    assert store.info(bucket, "job/output/model.tar.gz").path.read_bytes() == b"other"


def test_adopting_does_not_change_the_file_that_is_replaced(
    store: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    store.adopt(bucket, "k", first)
    store.adopt(bucket, "k", first)
    store.adopt(bucket, "k", second)
    assert first.read_bytes() == b"1"
    assert store.info(bucket, "k").path.read_bytes() == b"2"


def test_the_folder_of_a_prefix(store: ObjectStore, bucket: str, root: Path) -> None:
    for key in ("train/a.jpg", "train/b/c.jpg", "valid/d.jpg", "valid2/e.jpg", "odd//f.jpg"):
        put(store, bucket, key)
    put(store, bucket, "train/")
    folder = root / bucket
    assert store.folder(bucket, "train/") == folder / "train"
    assert store.folder(bucket, "train") == folder / "train"
    assert store.folder(bucket, "valid/") == folder / "valid"
    assert store.folder(bucket, "valid") is None, "valid2/ begins so, too"
    assert store.folder(bucket, "train/a") is None
    assert store.folder(bucket, "nothing/") is None
    assert store.folder(bucket, "odd/") is None, "a key of it lies aside"
    assert store.folder(bucket, "") is None
    store.delete(bucket, "odd//f.jpg")
    assert store.folder(bucket, "") == folder
    with pytest.raises(NoSuchBucket):
        store.folder("none", "")


def test_a_linked_folder(store: ObjectStore, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "cats").mkdir(parents=True)
    (photos / "cats" / "tom.jpg").write_bytes(b"tom")
    (photos / "loop").symlink_to(photos)
    (photos / "cats" / "up").symlink_to("..")
    (tmp_path / "elsewhere.jpg").write_bytes(b"linked")
    (photos / "linked.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    os.mkfifo(photos / "pipe")
    store.link("photos", photos)
    assert keys(store, "photos") == ["cats/tom.jpg", "linked.jpg"]
    assert store.folder("photos", "cats/") is not None
    assert store.bucket("photos").linked == photos
    with store.open("photos", "linked.jpg").file as file:
        assert file.read() == b"linked"
    with pytest.raises(BucketIsReadOnly, match="read-only"):
        put(store, "photos", "new.jpg")
    with pytest.raises(BucketIsReadOnly):
        store.delete("photos", "cats/tom.jpg")
    with pytest.raises(BucketExists):
        store.create_bucket("photos")
    store.unlink("photos")
    assert not store.has_bucket("photos")
    assert (photos / "cats" / "tom.jpg").read_bytes() == b"tom"
    store.link("photos", photos / "cats")
    assert keys(store, "photos") == ["tom.jpg"]
    (photos / "cats").rename(photos / "dogs")
    with pytest.raises(LinkedFolderGone, match="not there any more"):
        store.list("photos")
    store.unlink("photos")


def test_buckets_made_by_hand(store: ObjectStore, root: Path) -> None:
    (root / "by-hand" / "sub").mkdir(parents=True)
    (root / "by-hand" / "sub" / "k").write_text("x")
    (root / "Not_A_Bucket").mkdir()
    assert [bucket.name for bucket in store.buckets()] == ["by-hand"]
    assert keys(store, "by-hand") == ["sub/k"]
    with pytest.raises(BucketNotEmpty):
        store.delete_bucket("by-hand")
    store.delete("by-hand", "sub/k")
    (root / "by-hand" / "empty" / "folders").mkdir(parents=True)
    store.delete_bucket("by-hand")
    assert store.buckets() == []
    for name in (".clary", "..", "", "a/b", "none", "Not_A_Bucket"):
        with pytest.raises(NoSuchBucket):
            store.bucket(name)


def test_a_new_bucket_knows_nothing_of_an_old_one(store: ObjectStore) -> None:
    for body in (b"first", b"second"):
        store.create_bucket("again")
        store.uploads.begin("again", "upload", Description())
        put(store, "again", "odd//key", body)
        assert keys(store, "again") == ["odd//key"]
        assert len(store.uploads.under_way("again")) == 1
        store.delete("again", "odd//key")
        store.delete_bucket("again")


def test_many_threads_on_few_keys(store: ObjectStore, bucket: str) -> None:
    failures: list[Exception] = []
    bodies = {key: {b"%d" % n * 1000 for n in range(4)} for key in ("a", "a/b", "a/b/c")}
    etags = {hashlib.md5(b"%d" % n * 1000).hexdigest() for n in range(4)}

    def work(number: int) -> None:
        try:
            for turn in range(40):
                key = list(bodies)[(number + turn) % 3]
                put(store, bucket, key, b"%d" % (turn % 4) * 1000)
                opened = store.open(bucket, key)
                with opened.file as file:
                    body = file.read()
                assert body in bodies[key]
                assert opened.info.etag == hashlib.md5(body).hexdigest()
                for info in (*store.iterate(bucket), store.info(bucket, key)):
                    assert info.etag in etags, "it lost its description"
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert keys(store, bucket) == ["a", "a/b", "a/b/c"]
    for info in store.iterate(bucket):
        assert info.etag == store.info(bucket, info.key).etag


def test_only_one_of_many_creates(store: ObjectStore, bucket: str) -> None:
    won: list[int] = []

    class TakenError(Exception):
        pass

    def absent(info: ObjectInfo | None) -> None:
        if info is not None:
            raise TakenError

    def work(number: int) -> None:
        try:
            store.put(bucket, "lock", io.BytesIO(b"%d" % number), condition=absent)
        except TakenError:
            return
        won.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.open(bucket, "lock").file as file:
        assert [int(file.read())] == won


def test_memory_stays_flat(store: ObjectStore, bucket: str) -> None:
    class Zeros:
        left = 300 << 20

        def read(self, size: int) -> bytes:
            block = bytes(min(size, self.left))
            self.left -= len(block)
            return block

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.put(bucket, "large", Zeros())
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 20 << 10
    assert store.info(bucket, "large").size == 300 << 20


def test_folders_are_read_again_only_when_they_changed(
    store: ObjectStore, bucket: str, root: Path
) -> None:
    for number in range(100):
        folder = root / bucket / f"{number:03d}"
        folder.mkdir()
        for inner in range(50):
            (folder / f"{inner:03d}").touch()
    assert len(keys(store, bucket)) == 5_000
    time.sleep(2.1)  # until the times of the folders are at rest
    store.list(bucket, limit=1)
    read: list[str] = []
    original = os.scandir

    def watched(path: bytes) -> object:
        read.append(os.fsdecode(path))
        return original(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", watched)
        assert len(keys(store, bucket)) == 5_000
        assert read == []
        (root / bucket / "007" / "new").touch()
        assert len(keys(store, bucket)) == 5_001
        assert [Path(path).name for path in read] == ["007"]
        assert len(store.list(bucket, delimiter="/").prefixes) == 100
