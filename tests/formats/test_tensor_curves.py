"""Curves of a real tensor log."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from clary.errors import UsageError
from clary.formats.tensor_curves import (
    loss_names,
    scalar_curves,
    statistic_curves,
    tensor_names,
)
from clary.formats.tensor_log import TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import Capture, CollectionRecord, Mode, Statistics, Step

LOSS = "CrossEntropyLoss_output_0"


@pytest.fixture
def log(tmp_path: Path) -> TensorLog:
    """Two steps of training, one of validation, and one of training whose loss is NaN."""
    losses = CollectionRecord("losses", (r"[Ll]oss_(?!input).*output",), ("score",))
    writer = TensorLogWriter(tmp_path, collections=[losses])
    counts = {Mode.TRAIN: 0, Mode.EVAL: 0}
    for number, mode in enumerate((Mode.TRAIN, Mode.TRAIN, Mode.EVAL, Mode.TRAIN)):
        step = Step(number, mode, counts[mode], 1e9 + number)
        counts[mode] += 1
        loss = math.nan if number == 3 else 2.0 - number
        row = Statistics(4, zeros=1, min=-3.0, max=1.0, l1=4.0, l2=2.0, update_l2=0.5)
        rows = {"gradient/Net_fc.10.weight": row, "gradient/Net_fc.9.weight": Statistics(4)}
        writer.write(
            Capture(
                step,
                scalars={LOSS: loss, "score": 1.0} if number != 1 else {LOSS: loss},
                statistics=rows if mode is Mode.TRAIN else {},
            )
        )
    writer.close()
    return TensorLog(tmp_path)


def test_losses_come_by_mode_with_the_steps_of_all_modes(log: TensorLog) -> None:
    assert loss_names(log) == (LOSS, "score")
    train, valid = scalar_curves(log, LOSS)
    assert (train.label, train.steps, train.values[:2]) == ("train", (0, 1, 3), (2.0, 1.0))
    assert math.isnan(train.values[2])
    assert (valid.label, valid.steps, valid.values) == ("valid", (2,), (0.0,))
    assert scalar_curves(log, "other") == ()


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("l2", 2.0), ("abs_mean", 1.0), ("abs_max", 3.0), ("zeros", 0.25), ("update", 0.25)],
)
def test_a_statistic_is_a_curve(log: TensorLog, statistic: str, value: float) -> None:
    (curve,) = statistic_curves(log, "gradient/Net_fc.10.weight", statistic)
    assert (curve.steps, curve.values) == ((0, 1, 3), (value,) * 3)
    assert statistic_curves(log, "gradient/Net_fc.9.weight", statistic) == ()


def test_tensors_are_found_by_name_or_expression_in_the_order_of_their_numbers(
    log: TensorLog,
) -> None:
    assert tensor_names(log, LOSS) == (LOSS,)
    layers = ("gradient/Net_fc.9.weight", "gradient/Net_fc.10.weight")
    assert tensor_names(log, "gradient/") == layers
    assert tensor_names(log, "nothing") == ()
    with pytest.raises(UsageError, match="is no regular expression"):
        tensor_names(log, "(")
    with pytest.raises(UsageError, match="the statistic is 'median' but must be one of l2, l1"):
        statistic_curves(log, LOSS, "median")
