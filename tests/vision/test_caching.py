from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clary.errors import StorageError
from clary.vision.caching import CacheStore, allocate, cache_key

MIB = 1024 * 1024


def fill(store: CacheStore, key: str, size: int, *, used_at: float, kind: str = "pictures") -> Path:
    with store.open(kind, key) as entry:
        (entry.folder / "data").write_bytes(os.urandom(size))
        folder = entry.folder
    os.utime(folder.with_name(key + ".lock"), (used_at, used_at))
    return folder


def test_the_least_recently_used_entry_goes_first(tmp_path):
    store = CacheStore(tmp_path, 4 * MIB)
    old = fill(store, "old", MIB, used_at=100)
    older = fill(store, "older", MIB, used_at=50, kind="features")
    new = fill(store, "new", MIB, used_at=200)
    assert store.make_room(2 * MIB)
    assert old.exists() and new.exists() and not older.exists()
    assert store.size_bytes() <= 2 * MIB


def test_what_a_killed_eviction_left_is_no_entry_and_is_swept(tmp_path):
    store = CacheStore(tmp_path, 4 * MIB)
    program = f"""
import os, pathlib, shutil, signal
from clary.vision.caching import CacheStore
store = CacheStore(pathlib.Path({str(tmp_path)!r}), {4 * MIB})
shutil.rmtree = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
store.make_room({4 * MIB})
"""
    folder = fill(store, "old", MIB, used_at=100)
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode < 0
    assert not folder.exists() and store.size_bytes() == 0
    leftovers = list(folder.parent.glob(".evicted-*"))
    assert [leftover.is_dir() for leftover in leftovers] == [True]
    assert store.make_room(MIB)
    assert not leftovers[0].exists()


def test_entries_in_use_stay(tmp_path):
    store = CacheStore(tmp_path, 3 * MIB)
    used = fill(store, "used", MIB, used_at=1)
    free = fill(store, "free", MIB, used_at=2)
    with store.open("pictures", "used"):
        os.utime(used.with_name("used.lock"), (1, 1))
        assert store.make_room(2 * MIB)
        assert used.exists() and not free.exists()
        assert not store.make_room(3 * MIB)
        assert used.exists()
    assert store.make_room(3 * MIB)
    assert not used.exists()


def test_an_entry_held_by_another_process_stays_until_that_dies(tmp_path):
    store = CacheStore(tmp_path, 2 * MIB)
    held = fill(store, "held", MIB, used_at=1)
    program = (
        "import sys, pathlib; from clary.vision.caching import CacheStore\n"
        "entry = CacheStore(pathlib.Path(sys.argv[1]), 0).open('pictures', 'held')\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        assert not store.make_room(2 * MIB)
        assert held.exists()
    finally:
        holder.kill()
        holder.communicate()
    assert store.make_room(2 * MIB)
    assert not held.exists()


def test_more_than_the_limit_is_never_granted_and_evicts_nothing(tmp_path):
    store = CacheStore(tmp_path, MIB)
    kept = fill(store, "kept", 1000, used_at=1)
    assert not store.make_room(2 * MIB)
    assert kept.exists()


def test_keys_depend_on_every_part():
    assert cache_key({"a": 1, "b": (2, 3)}) == cache_key({"b": (2, 3), "a": 1})
    assert cache_key({"a": 1}) != cache_key({"a": 2})


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="file"):
        CacheStore(blocked, MIB).open("pictures", "key")


def test_allocating_claims_the_blocks(tmp_path):
    path = tmp_path / "data"
    with path.open("wb") as file:
        allocate(file.fileno(), MIB, path)
        allocate(file.fileno(), 10, path)
    assert path.stat().st_size == MIB
    assert path.stat().st_blocks * 512 >= MIB
