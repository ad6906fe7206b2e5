"""What `clary tune` makes of what was typed, before any service is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import DataError, UsageError
from clary.sdk.picture_tuning import PictureTuning, TuningPlan, seconds_of
from clary.settings import Settings


@pytest.fixture
def photos(picture_folder) -> Path:
    return picture_folder("photos", classes=2, per_class=1)


def test_trials_neither_check_nor_report_by_themselves(photos: Path, settings: Settings) -> None:
    tuning = PictureTuning.prepare(str(photos), {"epochs": "3"}, settings, TuningPlan())
    request = tuning.training.request
    assert (request.skip_check, request.no_report) == (True, True)
    assert tuning.trials == 20
    assert "epochs" not in tuning.space.names


def test_a_trial_keeps_the_epoch_that_it_is_judged_by(photos: Path, settings: Settings) -> None:
    plan = TuningPlan(objective="valid_loss")
    assert plan.direction == "Minimize"
    tuning = PictureTuning.prepare(str(photos), {}, settings, plan)
    assert tuning.training.request.options.monitor == "valid_loss"
    own = PictureTuning.prepare(str(photos), {"monitor": "valid_accuracy"}, settings, plan)
    assert own.training.request.options.monitor == "valid_accuracy"


def test_a_grid_has_as_many_trials_as_combinations(photos: Path, settings: Settings) -> None:
    listed = TuningPlan(space=["lr=0.1,0.01", "batch_size=8,16,32"], strategy="Grid")
    assert PictureTuning.prepare(str(photos), {}, settings, listed).trials == 6
    chosen = PictureTuning.prepare(str(photos), {}, settings, TuningPlan(strategy="Grid"))
    assert chosen.trials == chosen.space.size == 36
    assert chosen.on(pictures=100, judged=20).trials == 18
    with pytest.raises(UsageError, match="a grid tries listed values, but lr is a range"):
        plan = TuningPlan(space=["lr=0.1..1.0"], strategy="Grid")
        PictureTuning.prepare(str(photos), {}, settings, plan)


def test_trials_need_pictures_to_be_judged_by(photos: Path, settings: Settings) -> None:
    tuning = PictureTuning.prepare(str(photos), {"valid_fraction": "0"}, settings, TuningPlan())
    with pytest.raises(UsageError, match="there is no valid split and --valid-fraction is 0"):
        tuning.on(pictures=100, judged=0)


def test_weights_among_the_values_become_absolute(
    photos: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    plan = TuningPlan(space=["weights=pretrained,w.safetensors"])
    tuned = PictureTuning.prepare(str(photos), {}, settings, plan).space.ranges[0]
    assert tuned.values == ("pretrained", str(tmp_path / "w.safetensors"))  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="there is no such file"):
        missing = TuningPlan(space=["weights=none,no.pth"])
        PictureTuning.prepare(str(photos), {}, settings, missing)


def test_data_must_be_there(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder or file"):
        PictureTuning.prepare(str(tmp_path / "nothing"), {}, settings, TuningPlan())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "a_b"}, "--name is 'a_b' but must be 1 to 32 letters"),
        ({"name": "x" * 33}, "--name is 'xxx"),
        ({"space": []}, "--space names no range: give some"),
        ({"trials": 0}, "--trials is 0 but must be 1 to 10000"),
        ({"parallel": 101}, "--parallel is 101 but must be 1 to 100"),
        ({"objective": "accuracy"}, "but must be valid_accuracy or valid_loss"),
        ({"time_limit": "soon"}, "--time-limit is 'soon' but must be a time such as 10m"),
        ({"time_limit": "119s"}, "--time-limit is 119s but must be 2m to 182d"),
        ({"early_stopping": True, "strategy": "Hyperband"}, "hyperband stops trials by a rule"),
    ],
)
def test_one_sentence_for_each_mistake(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        TuningPlan(**changes)  # type: ignore[arg-type]
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@given(hours=st.integers(0, 99), minutes=st.integers(2, 59), seconds=st.integers(0, 59))
def test_times_are_read_as_they_are_written(hours: int, minutes: int, seconds: int) -> None:
    expected = hours * 3600 + minutes * 60 + seconds
    assert seconds_of(f"{hours}h{minutes}m{seconds}s") == expected
    assert seconds_of(f"{hours}H {minutes}m{seconds}s") == expected
    assert seconds_of(f"{expected}s") == expected
