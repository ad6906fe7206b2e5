"""Hypothesis strategies for captures, and what a log should say of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clary.formats.tensor_log.entries import (
    Capture,
    Histogram,
    Mode,
    RawTensor,
    Statistics,
    Step,
)

DTYPES = (
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
    "complex64",
    "complex128",
)
# Tensors that share a name are the rule; any text may be one.
names = st.one_of(
    st.sampled_from(["loss", "gradient/Net_fc.weight", "layer1.0.relu_output_0", "__metadata__"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
)
numbers = st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers(0, 2**62)
maybe = st.none() | numbers
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
histograms = st.builds(Histogram, numbers, numbers, st.lists(counts, max_size=8).map(tuple))
statistics = st.builds(
    Statistics,
    counts,
    *[st.none() | counts] * 3,
    *[maybe] * 9,
    histogram=st.none() | histograms,
)
arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))
halves = shapes.flatmap(lambda shape: hnp.arrays("<u2", shape)).map(
    lambda held: RawTensor("bfloat16", held.shape, held.tobytes())
)
# Beyond 4 KiB a tensor has a file.
large = hnp.arrays("float32", st.sampled_from([(1025,), (40, 40)]), elements=st.floats(width=32))
raw = st.one_of(arrays.map(RawTensor.of), halves, large.map(RawTensor.of))
units = st.dictionaries(
    st.sampled_from(["positive", "active", "channel_means"]),
    hnp.arrays("float32", hnp.array_shapes(max_dims=2, max_side=4)),
    max_size=2,
)
steps = st.builds(
    Step,
    st.integers(0, 12),
    st.sampled_from([Mode.TRAIN, Mode.EVAL, Mode.PREDICT]),
    st.integers(0, 12),
    st.floats(0, 2e9),
)
captures = st.builds(
    Capture,
    steps,
    st.dictionaries(names, numbers, max_size=3),
    st.dictionaries(names, statistics, max_size=3),
    st.dictionaries(names, units, max_size=2),
    st.dictionaries(names, raw, max_size=2),
    st.dictionaries(names, shapes, max_size=2),
)


def same(one: object, other: object) -> bool:
    """Equal, where NaN equals NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        # To the bit, so that NaN are the same too.
        return (one.shape, one.dtype, one.tobytes()) == (other.shape, other.dtype, other.tobytes())
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (Statistics, Histogram)) and type(one) is type(other):
        return same(vars(one), vars(other))
    return one == other


class Expected:
    """What the captures of one worker amount to: of one step and name, the latest counts."""

    def __init__(self, captures: Sequence[Capture]) -> None:
        self.scalars: dict[str, dict[int, float]] = {}
        self.statistics: dict[str, dict[int, Statistics]] = {}
        self.units: dict[tuple[str, str], dict[int, np.ndarray]] = {}
        self.raw: dict[str, dict[int, np.ndarray]] = {}
        self.shapes: dict[str, dict[int, tuple[int, ...]]] = {}
        self.steps = sorted({capture.step.number for capture in captures})
        for capture in captures:
            number = capture.step.number
            for name, value in capture.scalars.items():
                self.scalars.setdefault(name, {})[number] = value
            for name, held in capture.statistics.items():
                self.statistics.setdefault(name, {})[number] = held
            for name, kinds in capture.units.items():
                for kind, values in kinds.items():
                    self.units.setdefault((name, kind), {})[number] = values
            for name, tensor in capture.raw.items():
                self.raw.setdefault(name, {})[number] = tensor.array()
            for name, shape in capture.shapes.items():
                self.shapes.setdefault(name, {})[number] = shape

    @property
    def names(self) -> set[str]:
        held = (self.scalars, self.statistics, self.raw, self.shapes)
        return {name for one in held for name in one} | {name for name, _ in self.units}
