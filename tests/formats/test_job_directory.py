"""A job's directory: what one process writes, another reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError, StorageError
from clary.formats.job_directory import FAILURE_LIMIT, JobDirectory

TEXTS = st.text(st.characters(codec="utf-8"))


@pytest.fixture
def directory(tmp_path: Path) -> JobDirectory:
    made = JobDirectory(tmp_path / "job")
    made.create()
    return made


def test_the_tree_is_the_one_of_sagemaker(directory: JobDirectory) -> None:
    folders = {str(path.relative_to(directory.root)) for path in directory.root.rglob("*")}
    assert {"input/config", "input/data", "model", "checkpoints", "output/data"} <= folders
    directory.write_inputs({"lr": "0.1"}, {"training": "digits"})
    resources = json.loads((directory.config / "resourceconfig.json").read_text())
    assert resources["hosts"] == [resources["current_host"]]


@given(values=st.dictionaries(TEXTS, TEXTS))
def test_hyperparameters_come_back(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    directory = JobDirectory(tmp_path_factory.mktemp("job"))
    directory.write_inputs(values, {})
    assert directory.hyperparameters() == values


def test_a_channel_is_linked_where_it_exists_and_named_where_not(
    directory: JobDirectory, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    directory.write_inputs({}, {"training": tmp_path / "photos", "other": "digits"})
    assert directory.location() == str(tmp_path / "photos")
    assert directory.channel("training").resolve() == (tmp_path / "photos").resolve()
    assert directory.location("other") == "digits"
    assert not directory.channel("other").exists()


def test_a_channel_of_another_starter_lies_in_its_own_folder(directory: JobDirectory) -> None:
    configuration = {"training": {"TrainingInputMode": "File", "ContentType": "image/jpeg"}}
    (directory.config / "inputdataconfig.json").write_text(json.dumps(configuration))
    assert directory.location() == str(directory.channel("training"))
    with pytest.raises(FormatError, match="no channel 'validation'"):
        directory.location("validation")


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_damaged_files_are_named(directory: JobDirectory, content: str) -> None:
    directory.hyperparameters_file.write_text(content)
    with pytest.raises(FormatError, match=r"hyperparameters\.json"):
        directory.hyperparameters()


def test_the_first_failure_stays_and_is_bounded(directory: JobDirectory) -> None:
    directory.write_failure("x" * 5000)
    directory.write_failure("later")
    assert directory.failure.read_text() == "x" * FAILURE_LIMIT


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        JobDirectory(tmp_path / "file" / "job").create()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="choose another folder"):
        JobDirectory(tmp_path / "job").create()
