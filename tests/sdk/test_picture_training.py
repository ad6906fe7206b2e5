"""What `clary train` makes of what was typed, before any service is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.errors import ModelError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.sdk.estimator import made_up_name
from clary.sdk.linking import bucket_of
from clary.sdk.picture_training import JOB_NAME, PictureTraining
from clary.settings import Settings


@pytest.fixture
def photos(picture_folder) -> Path:
    return picture_folder("photos", classes=2, per_class=1)


def test_options_are_kept_as_given(photos: Path, settings: Settings) -> None:
    prepared = PictureTraining.prepare(str(photos), {"epochs": "3", "lr": "0.01"}, settings)
    assert prepared.location == str(photos)
    assert prepared.request.to_hyperparameters() == {"epochs": "3", "lr": "0.01"}


def test_a_known_name_is_passed_through(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert PictureTraining.prepare("digits", {}, settings).location == "digits"


@pytest.mark.parametrize("stem", ["_Meine Fotos: " + "x" * 80, "---", "ä", "a.tar.gz", "x"])
def test_made_up_names_fit_the_pattern(stem: str) -> None:
    assert JOB_NAME.fullmatch(made_up_name(stem))


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a b", "ä", "x" * 64, "../a"])
def test_other_names_are_refused(photos: Path, settings: Settings, name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        PictureTraining.prepare(str(photos), {}, settings, name=name)


def test_a_taken_name_is_refused(photos: Path, settings: Settings) -> None:
    JobDirectory(settings.jobs_dir / "one").create()
    with pytest.raises(UsageError, match="clary train --resume one"):
        PictureTraining.prepare(str(photos), {}, settings, name="one")


def test_paths_among_the_options_become_absolute(
    photos: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    earlier = JobDirectory(settings.jobs_dir / "earlier")
    earlier.create()
    earlier.write_inputs({}, {})
    (earlier.model / "model.json").write_text("{}")

    def parsed(**options: str) -> TrainingOptions:
        return PictureTraining.prepare(str(photos), options, settings).request.options

    assert parsed(weights="w.safetensors").weights == str(tmp_path / "w.safetensors")
    assert parsed(weight_path="earlier").weight_path == str(earlier.model)
    with pytest.raises(UsageError, match="give the one that training shall start from"):
        parsed(weights="w.safetensors", weight_path="earlier")


def test_a_network_that_nobody_has_is_refused_at_once(photos: Path, settings: Settings) -> None:
    with pytest.raises(ModelError, match="there is no model 'resnet19' among timm's"):
        PictureTraining.prepare(str(photos), {"model": "resnet19"}, settings)
    assert not settings.home.exists()


def test_a_precision_that_this_machine_lacks_is_refused_at_once(
    photos: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clary.processor.cpu_flags", lambda: {"avx512f"})
    monkeypatch.setattr("clary.sdk.picture_training.count_gpus", lambda: 0)
    with pytest.raises(UsageError, match=r"--precision is bf16 but this machine \(CPU\) has no"):
        PictureTraining.prepare(str(photos), {"precision": "bf16"}, settings)
    assert not settings.home.exists()


def test_a_folder_has_one_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Meine Fotos"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    name = bucket_of(folder)
    assert name.startswith("meine-fotos-")
    assert bucket_of(Path("Meine Fotos")) == name
    assert bucket_of(tmp_path / "other" / "Meine Fotos") != name
    assert 3 <= len(bucket_of(tmp_path / ("x" * 200))) <= 63
