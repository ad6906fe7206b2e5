"""What is typed for a job, a model or data leads to the path that is meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clary.errors import DataError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.known_datasets import KNOWN_DATASETS
from clary.sdk.locations import (
    find_jobs,
    resolve_data,
    resolve_job,
    resolve_model,
)
from clary.settings import Settings


def make_job(settings: Settings, name: str, *, hour: int = 1) -> JobDirectory:
    directory = JobDirectory(settings.jobs_dir / name)
    directory.create()
    directory.write_inputs({}, {"training": "digits"})
    os.utime(directory.hyperparameters_file, (hour * 3600, hour * 3600))
    return directory


def test_paths_have_no_detours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far" / "code").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "far" / "code")
    assert resolve_data("../../photos") == str(tmp_path / "photos")
    # Beyond a link, `..` is another folder than the text tells.
    (tmp_path / "link").symlink_to(tmp_path / "far" / "code")
    assert Path(resolve_data(str(tmp_path / "link" / ".." / "code"))).samefile("../code")


def test_a_job_by_name_by_folder_and_latest(settings: Settings) -> None:
    newer = make_job(settings, "newer", hour=9)
    older = make_job(settings, "older", hour=2)
    assert resolve_job("older", settings) == older
    assert resolve_job(str(older.root), settings) == older
    assert resolve_job("latest", settings) == newer
    assert find_jobs(settings) == [older, newer]


def test_latest_is_no_trial_where_there_is_a_training(settings: Settings) -> None:
    trial = make_job(settings, "search-003-0123abcd", hour=9)
    trial.write_inputs({"_tuning_objective_metric": "valid_loss"}, {"training": "digits"})
    assert resolve_job("latest", settings) == trial
    with pytest.raises(UsageError, match="but the trials of a search: name one"):
        resolve_model("latest", settings)
    # Made by a person with all that the best trial had, as notebooks do.
    best = make_job(settings, "best", hour=2)
    best.write_inputs({"_tuning_objective_metric": "valid_loss"}, {"training": "digits"})
    os.utime(best.hyperparameters_file, (7200, 7200))
    assert resolve_job("latest", settings) == best


def test_a_folder_without_inputs_is_no_job(settings: Settings) -> None:
    real = make_job(settings, "real")
    (settings.jobs_dir / "stray").mkdir()
    assert find_jobs(settings) == [real]


def test_the_nearest_job_is_named(settings: Settings) -> None:
    make_job(settings, "ants-and-bees")
    with pytest.raises(UsageError, match="did you mean ants-and-bees"):
        resolve_job("ants-and-bee", settings)
    with pytest.raises(UsageError, match="did you mean ants-and-bees"):
        resolve_model("ant-and-bees", settings)


def test_a_model_is_the_one_of_its_job(settings: Settings) -> None:
    job = make_job(settings, "job")
    job.write_failure("one class only")
    with pytest.raises(UsageError, match="has no model, for it failed: one class only"):
        resolve_model("job", settings)
    job.archive.write_bytes(b"")
    assert resolve_model("job", settings) == job.archive
    (job.model / "model.json").write_text("{}")
    assert resolve_model("latest", settings) == job.model


def test_a_model_by_path(settings: Settings, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.touch()
    assert resolve_model(str(archive), settings) == archive


def test_nothing_trained_yet(settings: Settings) -> None:
    for text in ("latest", "some"):
        with pytest.raises(UsageError, match="run `clary train` first"):
            resolve_job(text, settings)


def test_data_is_a_path_or_a_known_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert all(resolve_data(name) == name for name in KNOWN_DATASETS)
    (tmp_path / "digits").mkdir()
    assert resolve_data("digits") == str(tmp_path / "digits")
    assert resolve_data("digits/") == str(tmp_path / "digits")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("phtos", "did you mean photos"),
        ("digts", "did you mean digits"),
        ("zzzzzz", "or one of cifar10, digits, dogs"),
        ("no/such/place", "give a folder of pictures"),
    ],
)
def test_missing_data_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=hint):
        resolve_data(text)
