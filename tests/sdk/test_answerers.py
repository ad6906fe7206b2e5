"""What `clary predict NAME` asks: a model, an endpoint, or a sentence about what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.errors import UsageError
from clary.formats.job_directory import JobDirectory
from clary.sdk.answerers import find_answerer
from clary.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person is in a folder that holds pictures, and no model."""
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(text: str, settings: Settings) -> str:
    with pytest.raises(UsageError) as refused:
        find_answerer(text, settings)
    return str(refused.value)


def make_job(settings: Settings, name: str) -> JobDirectory:
    job = JobDirectory(settings.jobs_dir / name)
    job.create()
    job.write_inputs({}, {})
    (job.model / "model.json").write_text("{}")
    return job


def test_a_model_goes_before_an_endpoint_of_its_name(settings: Settings) -> None:
    job = make_job(settings, "one")
    assert find_answerer("one", settings) == (job.model, False)
    (settings.endpoints_dir / "one").mkdir(parents=True)
    assert find_answerer("one", settings) == (job.model, True)


def test_an_endpoint_goes_before_a_folder_without_a_model(settings: Settings) -> None:
    (settings.endpoints_dir / "photos").mkdir(parents=True)
    assert find_answerer("photos", settings) == (None, True)


def test_a_word_that_is_a_folder_of_pictures_is_told_what_there_is(settings: Settings) -> None:
    start = "there is no endpoint and no job photos, and the folder photos holds no model: "
    assert refusal("photos", settings) == f"{start}`clary train photos` makes one of pictures"
    (settings.endpoints_dir / "ants").mkdir(parents=True)
    assert refusal("photos", settings) == f"{start}there is the endpoint ants"
    for name in ("bees", "dogs", "insects"):
        (settings.endpoints_dir / name).mkdir()
    there = "there are the endpoints ants, bees, dogs and 1 more"
    assert refusal("photos", settings) == start + there
    (settings.endpoints_dir / "photo").mkdir()
    assert refusal("photos", settings) == f"{start}did you mean photo?"
    make_job(settings, "photos-20261122-042601")
    there = "the latest job of that name is photos-20261122-042601"
    assert refusal("photos", settings) == start + there


def test_a_path_is_no_name(settings: Settings) -> None:
    assert "photos holds no model: it has neither model.json" in refusal("./photos", settings)


def test_the_nearest_of_all_names_is_said(settings: Settings) -> None:
    start = "there is no model, no job and no endpoint insect: "
    assert refusal("insect", settings) == f"{start}see `clary jobs` and `clary endpoints`"
    (settings.endpoints_dir / "insects").mkdir(parents=True)
    assert refusal("insect", settings) == f"{start}did you mean insects?"
