"""Every source of a history answers alike: the original library's files, and the same as a log."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.debugger.history import History
from clary.debugger.history_source import Source
from clary.debugger.original_files import OriginalFiles
from clary.errors import StepUnavailable, TensorUnavailable
from clary.formats.tensor_log import Span, TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Mode, RawTensor

ORIGINAL = Path(__file__).parents[1] / "debugger" / "data" / "original" / "log"
MODES = (Mode.TRAIN, Mode.EVAL, Mode.PREDICT, Mode.GLOBAL)


def rewrite(source: Source, folder: Path) -> None:
    """Write what a source holds as a log of Clary's."""
    held: dict[str, Any] = defaultdict(lambda: defaultdict(dict))
    for name in source.names():
        for step in source.raw_steps(name):
            held["raw"][step][name] = RawTensor.of(source.raw(name, step))
        for step, value in source.scalars(name).items():
            held["scalars"][step][name] = value
        for step, statistics in source.statistics(name).items():
            held["statistics"][step][name] = statistics
        for step in source.steps_of(name):
            if step not in source.raw_steps(name) and "shape" in source.names()[name].kinds:
                held["shapes"][step][name] = source.shape(name, step)
    writer = TensorLogWriter(folder, collections=tuple(source.collections.values()))
    for step in source.steps():
        writer.write(Capture(step, **{kind: held[kind][step.number] for kind in held}))
    writer.close()


@pytest.fixture(scope="module", params=["original", "log"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    original = OriginalFiles(ORIGINAL)
    if request.param == "original":
        return original
    folder = tmp_path_factory.mktemp("log")
    rewrite(original, folder)
    return TensorLog(folder)


@pytest.fixture(scope="module")
def history(source: Source, tmp_path_factory: pytest.TempPathFactory) -> History:
    if isinstance(source, OriginalFiles):
        return History.open(ORIGINAL)
    folder = tmp_path_factory.mktemp("again")
    rewrite(OriginalFiles(ORIGINAL), folder)
    return History.open(folder)


def test_steps_are_in_order_and_of_their_mode(source: Source) -> None:
    numbers = [step.number for step in source.steps()]
    assert numbers == [0, 2, 4, 6, 8, 10, 11]
    by_mode = [source.steps(mode) for mode in (Mode.TRAIN, Mode.EVAL, Mode.PREDICT)]
    assert sorted(step.number for steps in by_mode for step in steps) == numbers
    assert [step.mode_step for step in source.steps(Mode.TRAIN)] == [0, 2, 4, 6]


def test_names_say_what_is_there(source: Source) -> None:
    names = source.names()
    assert len(names) == 11
    for name, held in names.items():
        assert name in source
        steps = source.steps_of(name)
        assert (held.first_step, held.last_step) == (steps[0], steps[-1])
        assert list(steps) == sorted(steps)
        assert held.workers == ("worker_0",)
        assert ("raw" in held.kinds) == bool(source.raw_steps(name))
        assert ("statistics" in held.kinds) == bool(source.statistics(name))
    assert "nothing" not in source
    assert source.steps_of("nothing") == ()
    assert names["CrossEntropyLoss_output_0"].collections == ("losses",)
    assert "scalar" in names["CrossEntropyLoss_output_0"].kinds


def test_a_span_is_a_part_of_the_whole(source: Source) -> None:
    span = Span(2, 8)
    for name in source.names():
        for read in (source.scalars, source.statistics):
            whole = read(name)
            assert read(name, span=span) == {s: v for s, v in whole.items() if 2 < s <= 8}
        for listed in (source.steps_of, source.raw_steps):
            assert listed(name, span=span) == tuple(s for s in listed(name) if 2 < s <= 8)


def test_what_a_worker_did_not_write_is_not_there(source: Source) -> None:
    for name in source.names():
        assert source.steps_of(name, "worker_7") == ()
        assert source.scalars(name, "worker_7") == {}
        assert source.statistics(name, "worker_7") == {}
        with pytest.raises(KeyError):
            source.raw(name, 0, "worker_7")
        with pytest.raises(KeyError):
            source.shape(name, 0, "worker_7")


def test_nothing_new_is_no_news(source: Source) -> None:
    assert not source.refresh()
    assert source.ended
    assert source.failures == ()


def test_a_history_of_either_says_the_same(history: History) -> None:
    expected = History.open(ORIGINAL)
    assert history.collections.keys() == expected.collections.keys()
    for mode in MODES:
        assert history.steps(mode) == expected.steps(mode)
        assert history.names(mode=mode).keys() == expected.names(mode=mode).keys()
        for name in expected.names():
            steps = expected.steps(mode, name)
            assert history.steps(mode, name) == steps
            assert history.scalars(name, mode) == expected.scalars(name, mode)
            assert history.statistics(name, mode) == expected.statistics(name, mode)
            assert history.raw_steps(name, mode) == expected.raw_steps(name, mode)
            for step in expected.raw_steps(name, mode):
                np.testing.assert_array_equal(
                    history.value(name, step, mode), expected.value(name, step, mode)
                )
                assert history.shape(name, step, mode) == expected.shape(name, step, mode)
    assert history.reduction("gradient/Net_fc.weight", 0, "mean") == expected.reduction(
        "gradient/Net_fc.weight", 0, "mean"
    )


def test_what_is_not_there_is_told_alike(history: History) -> None:
    with pytest.raises(TensorUnavailable, match="only statistics"):
        history.value("gradient/Net_fc.weight", 2)
    with pytest.raises(TensorUnavailable, match="was not saved: names"):
        history.value("nothing", 2)
    with pytest.raises(StepUnavailable, match="the last one saved is 11"):
        history.value("Net_fc.weight", 3)
