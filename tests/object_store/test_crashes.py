"""kill -9 at any moment: what is found afterwards is whole, and is what was put."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clary.errors import StorageError
from clary.object_store.errors import NoSuchKey
from clary.object_store.store import ObjectStore

KILLS = 12
# Overwrites a few keys without end, each time with another body that says what it is.
WRITER = """
import hashlib, io, itertools, os, random, sys
from pathlib import Path
from clary.object_store.objects import Description
from clary.object_store.store import ObjectStore
store = ObjectStore(Path(sys.argv[1]))
print("ready", flush=True)
chance = random.Random(os.getpid())
for number in itertools.count():
    body = chance.randbytes(chance.choice([0, 10, 100_000, 3_000_000]))
    digest = hashlib.sha256(body).hexdigest()
    key = chance.choice(["a", "a/b", "c//d", "e/f/g"])
    if chance.random() < 0.1:
        store.delete("bucket", key)
    elif chance.random() < 0.3:
        upload = store.uploads.begin("bucket", key, Description(metadata={"sha256": digest}))
        part = store.uploads.put_part(upload, 1, [body], size=len(body))
        store.uploads.complete(upload, [part])
    else:
        store.put("bucket", key, io.BytesIO(body), metadata={"sha256": digest})
"""


def test_no_half_object_after_any_kill(root: Path) -> None:
    store = ObjectStore(root)
    store.create_bucket("bucket")
    store.close()
    chance = random.Random(5)
    seen = 0
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.02, 0.25))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        store = ObjectStore(root)
        for info in store.iterate("bucket"):
            with store.open("bucket", info.key).file as file:
                body = file.read()
            assert hashlib.sha256(body).hexdigest() == info.metadata["sha256"], info.key
            assert len(body) == info.size
            seen += 1
        assert list((root / ".clary" / "temporary").iterdir()) == []
        store.close()
    assert seen > KILLS


def test_a_damaged_index_is_said_and_left_as_it_is(root: Path) -> None:
    store = ObjectStore(root)
    store.create_bucket("bucket")
    store.close()
    for beside in (root / ".clary").glob("index.sqlite-*"):
        beside.unlink()
    index = root / ".clary" / "index.sqlite"
    index.write_bytes(b"not a database " * 1000)
    with pytest.raises(StorageError, match=r"cannot be used .* move it away"):
        ObjectStore(root)
    assert index.read_bytes() == b"not a database " * 1000


def test_an_index_of_a_later_version_is_left_alone(root: Path) -> None:
    store = ObjectStore(root)
    store._index.reading.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StorageError, match="version 99"):
        ObjectStore(root)


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        ObjectStore(tmp_path / "file" / "buckets")


def test_a_source_that_breaks_off_leaves_nothing(
    store: ObjectStore, bucket: str, root: Path
) -> None:
    class Broken:
        blocks = 3

        def read(self, size: int) -> bytes:
            self.blocks -= 1
            if self.blocks == 0:
                raise ConnectionError("the client is gone")
            return b"x" * size

    with pytest.raises(ConnectionError):
        store.put(bucket, "k", Broken())
    with pytest.raises(NoSuchKey):
        store.info(bucket, "k")
    assert list((root / ".clary" / "temporary").iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    from clary.object_store.receiving import write_blocks

    with full.open("wb") as file, pytest.raises(StorageError, match="the disk is full"):
        write_blocks(file.fileno(), [b"x"], (), path=tmp_path / "k")


@pytest.mark.parametrize("key", ["plain", "new/folders/plain", "aside//key"])
def test_a_name_is_on_the_disk_before_a_put_returns(
    store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    real_fsync = os.fsync
    forced: list[Path] = []

    def recording_fsync(descriptor: int) -> None:
        forced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real_fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc to tell what is forced to the disk")
    root = store._places.root
    there = {folder for folder in root.rglob("*") if folder.is_dir()} | {root}
    monkeypatch.setattr(os, "fsync", recording_fsync)
    path = store.put(bucket, key, io.BytesIO(b"x")).path
    made = [folder for folder in path.parents if root in folder.parents and folder not in there]
    named = [path.parent, *(folder.parent for folder in made)]
    assert set(named) <= set(forced)
    forced.clear()
    assert store.put(bucket, key, io.BytesIO(b"y")).path == path
    assert [folder for folder in forced if folder.is_dir()] == [path.parent]
