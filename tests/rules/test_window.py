"""What a rule can see of a training."""

from __future__ import annotations

import pytest

from clary.formats.tensor_log.entries import CollectionRecord, Mode
from clary.rules.window import Window
from tests.rules.made_up import MadeUp

LOSS = "CrossEntropyLoss_output_0"


@pytest.fixture
def source() -> MadeUp:
    return MadeUp().losses([3, 2], Mode.TRAIN).losses([4], Mode.EVAL).losses([1], Mode.TRAIN)


def test_it_shows_the_steps_between_first_and_until(source: MadeUp) -> None:
    window = Window(source, first=1, until=2)
    assert [step.number for step in window.steps] == [1, 2]
    assert list(window.captured(LOSS)) == [1, 2]
    assert window.raw(LOSS, 3) is None
    assert window.statistics(LOSS, 0) is None
    assert window.series(LOSS).values.tolist() == [2, 4]


def test_new_is_what_was_not_judged(source: MadeUp) -> None:
    window = Window(source, after=1)
    assert list(window.new(LOSS)) == [2, 3]
    assert not window.is_new(1)


def test_a_series_is_of_a_mode(source: MadeUp) -> None:
    window = Window(source)
    assert window.series(LOSS, Mode.TRAIN).values.tolist() == [3, 2, 1]
    assert window.series(LOSS, Mode.EVAL).steps.tolist() == [2]
    assert len(window.series("unknown")) == 0


def test_passes_are_cut_where_the_mode_changes(source: MadeUp) -> None:
    passes = Window(source).passes
    assert [(one.mode, one.first, one.last, one.decided) for one in passes] == [
        (Mode.TRAIN, 0, 1, 2),
        (Mode.EVAL, 2, 2, 3),
        (Mode.TRAIN, 3, 3, None),
    ]
    assert Window(source, ended=True).passes[-1].decided == 3


def test_a_pass_is_decided_once() -> None:
    source = MadeUp().losses([3, 2], Mode.TRAIN).losses([4], Mode.EVAL)
    first = Window(source, until=1)
    second = Window(source, after=1)
    assert not first.is_decided_now(first.passes[0])
    assert second.is_decided_now(second.passes[0])
    assert not Window(source, after=2).is_decided_now(second.passes[0])


def test_names_are_taken_by_pattern_and_collection() -> None:
    source = MadeUp().add(
        raw={
            "Net_fc.weight": [1.0],
            "gradient/Net_fc.weight": [1.0],
            "relu_output_0": [1.0],
            LOSS: 1,
        }
    )
    source.collections = {
        "mine": CollectionRecord("mine", ("^relu",), (LOSS,)),
        "empty": CollectionRecord("empty"),
    }
    window = Window(source)
    assert window.names(collections=("weights",)) == ("Net_fc.weight",)
    assert window.names(collections=("gradients",)) == ("gradient/Net_fc.weight",)
    assert window.names(collections=("losses",)) == (LOSS,)
    assert window.names(collections=("mine",)) == (LOSS, "relu_output_0")
    assert window.names(("fc",)) == ()
    assert window.names((".*fc",)) == ("Net_fc.weight", "gradient/Net_fc.weight")
    assert window.names(("relu",), ("losses",)) == (LOSS, "relu_output_0")
    assert window.names(collections=("empty", "unknown")) == ()
    assert len(window.names()) == len(window.names(collections=("all",))) == 4
    assert Window(source, until=-1).names() == ()
