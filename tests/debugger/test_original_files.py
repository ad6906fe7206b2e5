"""What smdebug 1.0.34 wrote, against what its own reader said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.debugger.history import History
from clary.debugger.original_files import OriginalFiles
from clary.debugger.original_records import read_record
from clary.errors import FormatError, StatisticsOnly, StepUnavailable, TensorUnavailable
from clary.formats.tensor_log.entries import Mode

ORIGINAL = Path(__file__).parent / "data" / "original"
LOG = ORIGINAL / "log"
EXPECTED: dict[str, Any] = json.loads((ORIGINAL / "expected.json").read_text())
TENSORS: dict[str, Any] = EXPECTED["tensors"]
MODES = (Mode.TRAIN, Mode.EVAL, Mode.GLOBAL)


@pytest.fixture(scope="module")
def history() -> History:
    return History.open(LOG)


def test_names_steps_and_collections_are_the_originals(history: History) -> None:
    assert set(history.names()) == TENSORS.keys()
    assert {mode.name: list(history.steps(mode)) for mode in MODES} == EXPECTED["steps"]
    for name, held in TENSORS.items():
        assert {mode.name: list(history.steps(mode, name)) for mode in MODES} == held["steps"]
    for collection, names in EXPECTED["collections"].items():
        assert sorted(history.names(collection=collection)) == names
    assert history.ended
    assert history.workers == ("worker_0",)


@pytest.mark.parametrize("name", [name for name, held in TENSORS.items() if "values" in held])
def test_values_are_the_originals(name: str, history: History) -> None:
    held = TENSORS[name]
    for step, expected in held["values"].items():
        value = history.value(name, int(step))
        assert value.dtype == held["dtype"]
        assert value.tolist() == expected
        assert history.shape(name, int(step)) == np.shape(expected)


@pytest.mark.parametrize("name", [name for name, held in TENSORS.items() if "reductions" in held])
def test_reductions_are_the_originals(name: str, history: History) -> None:
    for step, reductions in TENSORS[name]["reductions"].items():
        number = int(step)
        for reduction, expected in reductions.items():
            plain = reduction.removeprefix("abs_")
            value = history.reduction(name, number, plain, absolute=plain != reduction)
            assert value == expected
        statistics = history.statistics(name)[number]
        assert statistics.mean == reductions["mean"]
        assert statistics.min == reductions["min"]
        assert statistics.l1 == reductions["abs_sum"]
        # torch, and thus what was saved, divides by n - 1.
        size = int(np.prod(history.shape(name, number)))
        assert statistics.size == size
        assert statistics.std == pytest.approx((reductions["variance"] * (size - 1) / size) ** 0.5)
    assert history.reductions_as_saved


def test_losses_are_numbers(history: History) -> None:
    train = history.scalars("CrossEntropyLoss_output_0", Mode.TRAIN)
    assert list(train) == [0, 2, 4, 6]
    assert list(train.values()) == sorted(train.values(), reverse=True)
    assert history.scalars("Net_conv.weight") == {}
    assert history.scalars("scalar/accuracy") == {11: 0.75}


def test_a_whole_tensor_gives_statistics_that_were_not_saved(history: History) -> None:
    weight = np.array(TENSORS["Net_fc.weight"]["values"]["0"])
    assert history.statistics("Net_fc.weight")[0].std == pytest.approx(weight.std())
    assert history.reduction("Net_fc.weight", 0, "l2") == pytest.approx(np.linalg.norm(weight))
    positive = history.units("relu_output_0", "positive")[0]
    output = np.array(TENSORS["relu_output_0"]["values"]["0"])
    assert positive == pytest.approx((output > 0).mean(axis=(0, 2, 3)))


def test_what_was_not_saved_is_told(history: History) -> None:
    assert history.shape("conv_output_0", 0) == (8, 2, 6, 6)
    with pytest.raises(StatisticsOnly, match="save_raw_tensor"):
        history.value("gradient/Net_fc.weight", 0)
    with pytest.raises(TensorUnavailable, match="names"):
        history.value("nothing", 0)
    with pytest.raises(StepUnavailable):
        history.value("CrossEntropyLoss_output_0", 1)
    with pytest.raises(TensorUnavailable, match="was not saved"):
        history.value("CrossEntropyLoss_output_0", 11)


def test_a_folder_that_grows_is_followed(tmp_path: Path) -> None:
    history = History.open(tmp_path / "log")
    assert history.steps() == ()
    for path in sorted(LOG.rglob("*")):
        if path.is_file() and "index" not in path.parts and path.suffix != ".ts":
            target = tmp_path / "log" / path.relative_to(LOG)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    indexed: list[int] = []
    for path in sorted((LOG / "index").rglob("*.json")):
        target = tmp_path / "log" / path.relative_to(LOG)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        indexed.append(int(path.name.split("_")[0]))
        assert history.refresh()
        assert history.steps() == tuple(indexed)
        assert not history.ended
    shutil.copy(LOG / "training_job_end.ts", tmp_path / "log")
    assert history.refresh()
    assert history.ended


def test_damage_is_told(tmp_path: Path) -> None:
    shutil.copytree(LOG, tmp_path / "log")
    (events,) = (tmp_path / "log" / "events" / "000000000000").glob("*")
    events.write_bytes(events.read_bytes()[:40])
    with pytest.raises(FormatError, match="damaged at byte"):
        History.open(tmp_path / "log").value("Net_conv.weight", 0)
    events.unlink()
    with pytest.raises(FormatError, match="is gone"):
        History.open(tmp_path / "log").value("Net_conv.weight", 0)
    (index,) = (tmp_path / "log" / "index").rglob("000000000002_*.json")
    index.write_text(
        '{"meta": {"mode": "TRAIN", "mode_step": 2, "event_file_name": "../../x"}, '
        '"tensor_payload": [{"tensorname": "a", "start_idx": 0, "length": 4}]}'
    )
    with pytest.raises(FormatError, match="x"):
        OriginalFiles(tmp_path / "log")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_records(data: bytes) -> None:
    for record in (data, len(data).to_bytes(8, "little") + b"\0" * 4 + data + b"\0" * 4):
        with pytest.raises(ValueError, match=r"."):
            read_record(record)
