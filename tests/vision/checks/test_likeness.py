"""The search for like pictures finds what comparing all with all finds."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from clary.vision.checks.likeness import close_pairs, describe


def scene(seed: int, side: int = 256) -> Image.Image:
    """A picture with structure at all scales, as photographs have it."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((side, side, 3))
    for cells, weight in ((4, 60), (8, 40), (16, 25), (32, 12)):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        upscaled = np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC), dtype=float)
        pixels += weight * (upscaled / 127.5 - 1)
    return Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8))


def thumbnails(images: list[Image.Image]) -> np.ndarray:
    grey = [image.convert("L").resize((32, 32), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image, dtype=np.float32) for image in grey])


def pairs_of(images: list[Image.Image]) -> list[tuple[int, int]]:
    hashes, codes, _ = describe(thumbnails(images))
    return [tuple(pair) for pair in close_pairs(hashes, codes).tolist()]


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def test_a_picture_saved_again_smaller_or_brighter_is_found_and_others_are_not() -> None:
    others = [scene(seed) for seed in range(1, 120)]
    original = scene(0)
    for changed in (
        recompressed(original, 20),
        original.resize((90, 70)),
        original.point(lambda value: int(min(255, value * 1.15 + 8))),
        original.crop((3, 3, 253, 253)),
    ):
        assert pairs_of([original, *others, changed]) == [(0, 120)]


def test_where_many_look_alike_only_what_is_hardly_told_apart_counts() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 200, dtype=np.uint64)
    codes = rng.integers(-127, 128, (200, 64), dtype=np.int8)
    # Twenty pictures of one kind, any two of them six bits apart; the last is a copy of the first.
    for number in range(20):
        hashes[number] = hashes[0] ^ (np.uint64(0b111) << np.uint64(3 * number)) if number else 0
        codes[number] = codes[0]
    hashes[0] ^= np.uint64(0b111 << 60)
    hashes[199], codes[199] = hashes[0] ^ np.uint64(1), codes[0]
    assert close_pairs(hashes, codes).tolist() == [[0, 199]]
    few = np.array([0, 1, *range(20, 200)])
    assert close_pairs(hashes[few], codes[few]).tolist() == [[0, 1], [0, 181], [1, 181]]


@hypothesis_settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), flips=st.lists(st.integers(0, 9), min_size=5, max_size=25))
def test_the_search_finds_every_pair_within_seven_bits(seed: int, flips: list[int]) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, 1000, dtype=np.uint64)
    codes = rng.integers(-127, 128, (1000, 64), dtype=np.int8)
    expected = set()
    for number, count in enumerate(flips):
        mask = sum(1 << int(bit) for bit in rng.choice(64, count, replace=False))
        hashes[2 * number + 1] = hashes[2 * number] ^ np.uint64(mask)
        codes[2 * number + 1] = codes[2 * number]
        if count <= 7:
            expected.add((2 * number, 2 * number + 1))
    assert {tuple(pair) for pair in close_pairs(hashes, codes).tolist()} == expected


def test_a_heap_of_identical_pictures_stays_cheap_and_everyone_is_found() -> None:
    hashes = np.full(5000, 12345, dtype=np.uint64)
    codes = np.ones((5000, 64), dtype=np.int8)
    pairs = close_pairs(hashes, codes)
    assert len(np.unique(pairs)) == 5000
    assert len(pairs) < 5000 * 64
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_the_first_of_a_heap_is_met_by_all() -> None:
    # The training split comes first, so that leaks from it are found in the largest heap.
    hashes = np.concatenate([np.full(10, 7), np.full(5000, 6)]).astype(np.uint64)
    pairs = close_pairs(hashes, np.ones((5010, 64), dtype=np.int8))
    assert set(range(10, 5010)) <= set(pairs[pairs[:, 0] < 32, 1].tolist()) | set(range(32))


def test_nothing_is_like_nothing() -> None:
    assert close_pairs(np.zeros(0, np.uint64), np.zeros((0, 64), np.int8)).shape == (0, 2)


def test_contrast_is_the_deviation_of_the_coarse_picture() -> None:
    flat = np.full((1, 32, 32), 200, dtype=np.float32)
    half = np.concatenate([np.zeros((1, 16, 32)), np.full((1, 16, 32), 200)], axis=1)
    _, _, contrasts = describe(np.concatenate([flat, half]).astype(np.float32))
    assert contrasts[0] < 0.01
    assert 90 < contrasts[1] <= 100
