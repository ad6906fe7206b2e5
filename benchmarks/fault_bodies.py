"""Bodies that are no pictures: thousands of them, of every content type that is served."""

from __future__ import annotations

import io
import json
import random

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

NO_PICTURE = frozenset({"400", "406", "413", "415"})
_PICTURES = ("image/jpeg", "image/png", "image/webp", "application/x-image", "")


def malformed_bodies(picture: bytes, count: int) -> list[tuple[bytes, str]]:
    """Bodies and their content types; the same each time."""
    found: list[tuple[bytes, str]] = []

    @seed(7)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_cases(picture))
    def collect(case: tuple[bytes, str]) -> None:
        found.append(case)

    while len(found) < count:
        collect()
    return random.Random(7).sample(found, count)


def _cases(picture: bytes) -> st.SearchStrategy[tuple[bytes, str]]:
    kinds = st.sampled_from(_PICTURES)
    cut = st.integers(0, len(picture) - 3).map(lambda length: picture[:length])
    junk = st.binary(max_size=4000)
    # The first bytes of a picture, and then anything.
    headed = st.tuples(st.integers(2, 700), junk).map(lambda case: picture[: case[0]] + case[1])
    values = st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(-9, 300),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["instances", "b64", "url", "x"]), inner, max_size=3)
        ),
        max_leaves=12,
    )
    arrays = st.tuples(
        st.sampled_from(["<f4", "<i8", "|u1", "<U3", "|b1"]),
        st.lists(st.integers(0, 5), max_size=5).filter(lambda shape: shape[-1:] != [3]),
    ).map(lambda case: _npy(np.zeros(case[1], case[0])))
    return st.one_of(
        st.tuples(cut, kinds),
        st.tuples(junk, kinds),
        st.tuples(headed, kinds),
        st.tuples(values.map(json.dumps).map(str.encode), st.just("application/json")),
        st.tuples(junk, st.just("application/json")),
        st.tuples(arrays, st.just("application/x-npy")),
        st.tuples(arrays.map(lambda body: body[:-1]), st.just("application/x-npy")),
        st.tuples(junk, st.just("application/x-npy")),
        st.tuples(junk, st.sampled_from(["text/csv", "text/plain", "video/mp4", "a/b; c=d"])),
    )


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
