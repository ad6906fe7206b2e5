"""Captures as a hook makes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from clary.formats.tensor_log.entries import Capture, Mode, RawTensor, Statistics, Step

MakeCapture = Callable[..., Capture]


@pytest.fixture
def capture() -> MakeCapture:
    """A function that makes the capture of a step: a loss, statistics, a large tensor."""

    def make(number: int, *, loss: float = 0.5, mode: Mode = Mode.TRAIN, size: int = 0) -> Capture:
        return Capture(
            Step(number, mode, number, 1_700_000_000.0 + number),
            scalars={"CrossEntropyLoss_output_0": loss},
            statistics={"Net_fc.weight": Statistics(4, 0, 0, 0, -1.0, 1.0, float(number), 0.5)},
            raw={"big": RawTensor.of(np.full(size, number, np.float32))} if size else {},
        )

    return make
