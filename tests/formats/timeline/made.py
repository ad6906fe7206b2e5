"""Any entries of a timeline."""

from __future__ import annotations

import math
from struct import Struct
from typing import Any

from hypothesis import strategies as st

from clary.formats.timeline import PHASES, Facts, Loading, LoadRecord, Mode, Span, StepRecord
from clary.formats.timeline.entries import Function, Functions, Operator, Operators

BEGIN_US = 1_760_000_000_000_000

moments = st.integers(1, 2**53)
seconds = st.floats(0, 1e6, width=32)
counts = st.integers(0, 2**32 - 1)
texts = st.text(max_size=20)
maybe_seconds = st.one_of(seconds, st.just(math.nan))
phases = st.lists(maybe_seconds, min_size=len(PHASES), max_size=len(PHASES)).map(tuple)

steps = st.builds(
    StepRecord,
    mode=st.sampled_from(Mode),
    step=st.integers(0, 2**62),
    start_us=moments,
    seconds=seconds,
    longest_s=seconds,
    merged=st.integers(1, 2**32 - 1),
    pictures=counts,
    phases_s=phases,
    device_s=phases,
)
loads = st.builds(
    LoadRecord,
    start_us=moments,
    seconds=seconds,
    pictures=counts,
    worker=st.integers(-1, 2**31 - 1),
    cpu_s=maybe_seconds,
)
kinds = st.sampled_from(
    ["initialization", "evaluation", "checkpoint", "loader_start", "features", "operators", "other"]
)
spans = st.builds(Span, kind=kinds, start_us=moments, end_us=moments, label=texts)

maybe = st.one_of(st.none(), st.integers(0, 10**9))
loadings = st.builds(
    Loading,
    kind=texts,
    workers=maybe,
    pin_memory=st.one_of(st.none(), st.booleans()),
    pictures=maybe,
    decode_s=st.one_of(st.none(), seconds),
)
facts = st.builds(
    Facts,
    worker=st.just("worker_0"),
    pid=st.integers(1, 2**22),
    node=texts,
    started_us=moments,
    ended_us=st.one_of(st.none(), moments),
    framework=texts,
    device=texts,
    program=texts,
    batch_size=maybe,
    train_loading=st.one_of(st.none(), loadings),
    valid_loading=st.one_of(st.none(), loadings),
    overhead_s=seconds,
)
operators = st.builds(
    Operators,
    first=st.integers(0, 10**7),
    last=st.integers(0, 10**7),
    mode=st.sampled_from(Mode),
    start_us=moments,
    seconds=seconds,
    operators=st.lists(
        st.builds(Operator, name=texts, calls=counts, cpu_self_s=seconds, cpu_total_s=seconds),
        max_size=3,
    ).map(tuple),
    trace=st.one_of(st.none(), st.just("trace-00000005-00000014.json.gz")),
)
functions = st.builds(
    Functions,
    first=st.integers(0, 10**7),
    last=st.integers(0, 10**7),
    mode=st.sampled_from(Mode),
    start_us=moments,
    seconds=seconds,
    functions=st.lists(
        st.builds(
            Function,
            name=texts,
            file=texts,
            line=counts,
            calls=counts,
            self_s=seconds,
            total_s=seconds,
        ),
        max_size=3,
    ).map(tuple),
)


def step(number: int, mode: Mode = Mode.TRAIN) -> StepRecord:
    """Steps of a tenth of a second, one after the other."""
    return StepRecord(
        mode=mode,
        step=number,
        start_us=BEGIN_US + number * 100_000,
        seconds=0.1,
        longest_s=0.1,
        pictures=32,
        phases_s=(0.02, 0.001, 0.03, 0.04, 0.005),
    )


def rows(records: Any, layout: Struct) -> list[bytes]:
    """Records of numpy as they stand in a file, so that NaN equals itself; their gaps are zeros."""
    return [layout.pack(*layout.unpack(record.tobytes())) for record in records]
