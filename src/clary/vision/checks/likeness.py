"""Which pictures look alike: a perceptual hash, and the search for close pairs.

The hash is the signs of the 64 lowest frequencies of the 32×32 grey picture's cosine transform
(Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), without the
mean. Close pairs are found by multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012): of two
64-bit hashes at a distance of 7 or less, one of the four 16-bit quarters differs in 1 bit at most.

The bounds were set by looking at pairs. In CIFAR-10, whose test set is known to hold near copies of
training pictures, about 1 pair in 50 is no copy at a distance of 7 and a correlation of 0.93; in
2,900 photos of dogs all nine are. Where more than 1 picture in 20 has a like one (written digits,
radiographs, frames of a video) likeness is the nature of the data, and only what is hardly told
apart counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

THUMBNAIL = 32
MAX_DISTANCE, MIN_CORRELATION = 7, 0.93
STRICT_DISTANCE, STRICT_CORRELATION = 3, 0.99
COMMON_SHARE = 0.05
# Under this deviation, in grey levels, the signs are noise: a blank page is like any other.
MIN_CONTRAST = 2.0

Hashes = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.int8]
Pairs = npt.NDArray[np.int64]

# Thousands of like pictures (a video, a fixed camera) would make millions of pairs: who has met
# this many asks no further, and a probe looks at eight times as many as chance puts there.
_ENOUGH_LIKE = 8
_BLOCK_PAIRS = 1 << 18


def _cosines(count: int) -> npt.NDArray[np.float32]:
    """The first `count` rows of the orthonormal DCT-II matrix, shape (count, 32)."""
    frequency = np.arange(count)[:, None]
    position = np.arange(THUMBNAIL)[None, :] + 0.5
    matrix = np.cos(np.pi * frequency * position / THUMBNAIL) * np.sqrt(2 / THUMBNAIL)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, dtype=np.float32)


_SIDE = 11
_DCT = _cosines(_SIDE)
_ROWS, _COLUMNS = (
    np.array(axis)
    for axis in zip(
        *sorted(
            ((u, v) for u in range(_SIDE) for v in range(_SIDE) if u + v > 0),
            key=lambda place: (place[0] + place[1], place),
        )[:64],
        strict=True,
    )
)


def describe(
    thumbnails: npt.NDArray[np.float32],
) -> tuple[Hashes, Codes, npt.NDArray[np.float32]]:
    """Hash pictures.

    Args:
        thumbnails: grey, 0 to 255, shape (n, 32, 32).

    Returns:
        The hashes, shape (n,); the same frequencies as a unit vector in steps of 1/127, shape
        (n, 64), for the correlation; the contrast as a deviation in grey levels, shape (n,).
    """
    spectrum = (_DCT @ thumbnails @ _DCT.T)[:, _ROWS, _COLUMNS]
    length = np.linalg.norm(spectrum, axis=1)
    signs = np.ascontiguousarray(np.packbits(spectrum > 0, axis=1))
    hashes = signs.view(">u8")[:, 0].astype(np.uint64)
    codes = np.rint(spectrum / np.maximum(length, 1e-6)[:, None] * 127).astype(np.int8)
    return hashes, codes, (length / THUMBNAIL).astype(np.float32)


def close_pairs(hashes: Hashes, codes: Codes) -> Pairs:
    """Find the pairs of pictures that look alike.

    Args:
        hashes: shape (n,), from `describe`.
        codes: shape (n, 64), from `describe`.

    Returns:
        Positions, shape (pairs, 2), the smaller first, sorted. Of pictures that look like
        hundreds of others some pairs may be missing, but never all.
    """
    # As one number, which sorts far faster than two.
    found = [np.zeros(0, dtype=np.int64)]
    met = np.zeros(len(hashes), dtype=np.int64)
    for pairs in _candidates(hashes, met):
        # The distance first: it costs a hundredth of the correlation and leaves few.
        near = pairs[_bits(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= MAX_DISTANCE]
        alike = near[_correlations(codes, near) >= MIN_CORRELATION]
        np.add.at(met, alike[:, 0], 1)
        found.append(alike.min(axis=1) * len(hashes) + alike.max(axis=1))
    pairs = np.stack(np.divmod(np.unique(np.concatenate(found)), max(len(hashes), 1)), axis=1)
    if len(np.unique(pairs)) <= COMMON_SHARE * len(hashes):
        return pairs
    close = _bits(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= STRICT_DISTANCE
    return pairs[close & (_correlations(codes, pairs) >= STRICT_CORRELATION)]


def _correlations(codes: Codes, pairs: Pairs) -> npt.NDArray[np.float32]:
    left, right = codes[pairs[:, 0]].astype(np.float32), codes[pairs[:, 1]].astype(np.float32)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / np.maximum(lengths, 1e-6), dtype=np.float32)


def _candidates(hashes: Hashes, met: npt.NDArray[np.int64]) -> Iterator[Pairs]:
    """Pairs that agree in a quarter of their bits but for one, in blocks of bounded size.

    Each pair comes once from either side, the asking picture first. `met` is read before each
    block: pictures that have met enough others ask no further.
    """
    most = max(2 * _ENOUGH_LIKE, 8 * len(hashes) >> 16)
    for quarter in range(4):
        keys = ((hashes >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(65537))
        for flip in (0, *(1 << bit for bit in range(16))):
            asking = np.flatnonzero(met < _ENOUGH_LIKE)
            probes = keys[asking] ^ flip
            counts = np.minimum(starts[probes + 1] - starts[probes], most)
            asking, first, counts = (each[counts > 0] for each in (asking, starts[probes], counts))
            ends = np.cumsum(counts)
            start = 0
            while start < len(asking):
                before = ends[start - 1] if start else 0
                stop = max(start + 1, int(np.searchsorted(ends, before + _BLOCK_PAIRS, "right")))
                part = counts[start:stop]
                offset = np.arange(part.sum()) - np.repeat(np.cumsum(part) - part, part)
                left = np.repeat(asking[start:stop], part)
                right = order[np.repeat(first[start:stop], part) + offset]
                yield np.stack([left, right], axis=1)[left != right]
                start = stop


def _bits(values: Hashes) -> npt.NDArray[np.uint8]:
    """How many bits are set in each value."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.asarray(np.bitwise_count(values), dtype=np.uint8)
    bits = np.unpackbits(values[:, None].view(np.uint8), axis=1)
    return np.asarray(bits.sum(axis=1), dtype=np.uint8)
