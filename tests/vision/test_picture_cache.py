from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from clary.formats.preprocessing import Preprocessing
from clary.vision import picture_cache
from clary.vision.caching import CacheStore
from clary.vision.geometry import EvaluationTransform
from clary.vision.loaders import BatchLoader
from clary.vision.picture_cache import PictureCache
from clary.vision.transforms import TrainingTransform

PREPROCESSING = Preprocessing(image_size=24, resize_size=28)
GIB = 1024**3


@pytest.fixture
def store(tmp_path: Path) -> CacheStore:
    return CacheStore(tmp_path / "cache", GIB)


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(picture_cache, "GROWTH_BYTES", 8192)


def epoch(split, cache, *, transform=None, shuffle=False, number=1):
    loader = BatchLoader(
        split,
        transform or EvaluationTransform(PREPROCESSING),
        batch_size=8,
        seed=0,
        shuffle=shuffle,
        workers=3,
        picture_cache=cache,
    )
    return np.concatenate([batch.images.numpy() for batch in loader.batches(number)])


def test_the_second_epoch_and_the_second_run_decode_nothing(make_split, store):
    split = make_split(30)
    with PictureCache(store, split.source, 28) as cache:
        first = epoch(split, cache)
        assert split.source.reads == 30 and len(cache) == 30
        assert np.array_equal(epoch(split, cache), first)
    with PictureCache(store, split.source, 28) as cache:
        assert len(cache) == 30
        assert np.array_equal(epoch(split, cache), first)
    assert split.source.reads == 30


def test_what_the_loader_gives_does_not_depend_on_what_the_cache_holds(make_split, store):
    split = make_split(12)
    transform = TrainingTransform(PREPROCESSING, "standard")
    with PictureCache(store, split.source, 32) as cache:
        cold = epoch(split, cache, transform=transform)
        warm = epoch(split, cache, transform=transform)
    with PictureCache(CacheStore(store.root / "none", 0), split.source, 32) as cache:
        nothing_kept = epoch(split, cache, transform=transform)
    assert np.array_equal(cold, warm) and np.array_equal(cold, nothing_kept)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_evaluation_pictures_are_the_uncached_ones(make_split, store, interpolation):
    preprocessing = Preprocessing(image_size=24, resize_size=28, interpolation=interpolation)
    split = make_split(20)
    transform = EvaluationTransform(preprocessing)
    plain = epoch(split, None, transform=transform)
    with PictureCache(store, split.source, 28, interpolation=interpolation) as cache:
        cached = epoch(split, cache, transform=transform)
    difference = np.abs(plain.astype(int) - cached.astype(int))
    assert difference.max() <= (1 if interpolation == "bilinear" else 16)


def test_a_full_cache_says_so_once_and_goes_on(make_split, tmp_path, small_steps):
    split = make_split(30)
    messages: list[str] = []
    limited = CacheStore(tmp_path, 50_000)
    with PictureCache(limited, split.source, 28, message=messages.append) as cache:
        first = epoch(split, cache)
        held = len(cache)
        assert 5 < held < 30
        assert np.array_equal(epoch(split, cache), first)
    assert len(messages) == 1 and "CLARY_CACHE_GB" in messages[0]
    assert limited.size_bytes() <= 60_000
    assert split.source.reads == 30 + (30 - held)


def test_a_full_disk_says_so_once_and_goes_on(make_split, store, small_steps):
    import resource

    split = make_split(30)
    messages: list[str] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with PictureCache(store, split.source, 28, message=messages.append) as cache:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
            first = epoch(split, cache)
            second = epoch(split, cache)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert 5 < len(cache) < 30
    assert np.array_equal(first, second)
    assert len(messages) == 1 and "cannot grow" in messages[0]


def test_a_kill_loses_no_picture_that_was_flushed(make_split, store, tmp_path):
    split = make_split(10)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, content in enumerate(split.source.pictures):
        (folder / f"{number:02}.jpg").write_bytes(content)
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tests.vision.conftest import MemorySource
from pathlib import Path
from clary.vision.caching import CacheStore
from clary.vision.decoding import decode_picture
from clary.vision.picture_cache import PictureCache
source = MemorySource([], encoded=True)
source.pictures = [p.read_bytes() for p in sorted(Path({str(folder)!r}).iterdir())]
cache = PictureCache(CacheStore(Path({str(store.root)!r}), 2**30), source, 28)
for index in range(10):
    if index == 7:
        cache.flush()
    cache.put(index, cache.reduced(decode_picture(source.read(index), "x")))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    with PictureCache(store, split.source, 28) as cache:
        assert len(cache) == 7
        after_kill = epoch(split, cache)
        assert split.source.reads == 3
    assert np.array_equal(after_kill, epoch_with_a_fresh_cache(store, split))


@pytest.mark.parametrize("lost", ["pixels", "tail", "index", "half of pixels"])
def test_pixels_that_are_gone_are_decoded_again(make_split, store, lost):
    split = make_split(10)
    with PictureCache(store, split.source, 28) as cache:
        first = epoch(split, cache)
    (folder,) = (path for path in (store.root / "pictures").iterdir() if path.is_dir())
    if lost == "half of pixels":
        os.truncate(folder / "pixels", (folder / "pixels").stat().st_size // 2)
    else:
        (folder / lost).unlink()
    with PictureCache(store, split.source, 28) as cache:
        assert len(cache) == 0
        assert np.array_equal(epoch(split, cache), first)
    with PictureCache(store, split.source, 28) as cache:
        assert len(cache) == 10
        assert np.array_equal(epoch(split, cache), first)
    assert split.source.reads == 20


def epoch_with_a_fresh_cache(store, split):
    with PictureCache(CacheStore(store.root / "fresh", GIB), split.source, 28) as cache:
        return epoch(split, cache)


def test_two_caches_fill_one_entry_at_once(make_split, store, small_steps):
    split = make_split(40)
    reference = epoch_with_a_fresh_cache(store, split)
    with (
        PictureCache(store, split.source, 28) as one,
        PictureCache(store, split.source, 28) as two,
        ThreadPoolExecutor(2) as threads,
    ):
        runs = [
            threads.submit(epoch, split, cache, shuffle=False, number=1) for cache in (one, two)
        ]
        assert all(np.array_equal(run.result(), reference) for run in runs)
    with PictureCache(store, split.source, 28) as cache:
        assert len(cache) == 40
        assert np.array_equal(epoch(split, cache), reference)


def test_closing_gives_back_what_was_claimed_ahead(make_split, store):
    split = make_split(5)
    with PictureCache(store, split.source, 28) as cache:
        epoch(split, cache)
        assert store.size_bytes() > 60_000_000
    assert store.size_bytes() < 100_000
    cache.close()


def test_memory_does_not_grow_with_the_cache(store):
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tests.vision.conftest import MemorySource
import numpy as np
from pathlib import Path
from clary.vision.caching import CacheStore
from clary.vision.picture_cache import PictureCache

class Many(MemorySource):
    def __init__(self): pass
    def __len__(self): return 100_000
    def fingerprint(self): return "many"

def anonymous_kib():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1])

cache = PictureCache(CacheStore(Path({str(store.root)!r}), 2**33), Many(), 64)
image = np.full((48, 64, 3), 7, np.uint8)
cache.put(0, image); cache.get(0)
before = anonymous_kib()
for index in range(0, 100_000, 5):
    cache.put(index, image)
cache.flush()
for index in range(0, 100_000, 5):
    assert cache.get(index).shape == (48, 64, 3)
cache.close()
print(anonymous_kib() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    # 20,000 pictures of 9 KiB: the pixels alone would be 180 MiB.
    assert int(result.stdout) < 30_000
