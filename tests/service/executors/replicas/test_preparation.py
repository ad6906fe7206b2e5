"""From a model as it was created to what replicas serve."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import clary
from clary.errors import ClaryError
from clary.formats.builtin_algorithm import IMAGE
from clary.formats.converted_model import ConvertedModel
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.replicas.preparation import Preparation
from clary.service.executors.requirements import Requirements
from clary.service.executors.served_models import ModelSource, PreparedModel
from tests.endpoint.colours import convert_colour_model
from tests.service.executors.conftest import Bench
from tests.service.executors.replicas.conftest import (
    colour_files,
    colour_model,
    put_model,
    source,
)

_TEMPLATE = Path(clary.__file__).parent / "vision/export/serving_template/inference.py"


@pytest.fixture
def preparation(bench: Bench) -> Preparation:
    requirements = Requirements(bench.settings.environments_dir)
    return Preparation(bench.settings, bench.store, requirements)


def test_people_s_handlers_are_served_by_themselves(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    files = {"model.pth": b"1", "code/inference.py": b"", "code/lib/util.py": b"x = 1"}
    asked = source(put_model(bench, "m", files), Environment={"A": "1"})
    prepared = preparation.prepare(asked, tmp_path / "v")
    assert (prepared.kind, prepared.python, prepared.converted) == ("script", None, None)
    assert prepared.environment == {"A": "1"}
    assert (prepared.model / "code/lib/util.py").read_text() == "x = 1"
    assert PreparedModel.read(tmp_path / "v") == prepared


def test_it_is_prepared_once_and_anew_after_a_crash(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    asked = source(put_model(bench, "m", {"model.pth": b"1"}))
    prepared = preparation.prepare(asked, tmp_path / "v")
    (prepared.model / "mine").touch()
    assert preparation.prepare(asked, tmp_path / "v") == prepared
    assert (prepared.model / "mine").exists()
    # As a crash leaves it that came before the last step.
    (tmp_path / "v" / "prepared.json").unlink()
    preparation.prepare(asked, tmp_path / "v")
    assert not (prepared.model / "mine").exists()


def test_a_model_of_clarys_is_served_by_clary(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    prepared = preparation.prepare(colour_model(bench, tmp_path / "m"), tmp_path / "v")
    assert prepared.kind == "pictures"
    converted = ConvertedModel.of(tmp_path / "m", bench.settings.cache_dir)
    assert prepared.converted == converted.folder


@pytest.mark.parametrize(
    ("handlers", "environment", "kind"),
    [
        ("own", {}, "pictures"),
        ("own", {"SAGEMAKER_PROGRAM": "inference.py"}, "pictures"),
        ("changed", {}, "script"),
        ("none", {}, "script"),
        ("own", {"SAGEMAKER_PROGRAM": "serve.py"}, "script"),
    ],
    ids=["untouched", "named", "changed", "without", "others"],
)
def test_handlers_that_are_clarys_untouched_are_left_to_clary(
    bench: Bench,
    preparation: Preparation,
    tmp_path: Path,
    handlers: str,
    environment: dict[str, str],
    kind: str,
) -> None:
    files = colour_files(bench, tmp_path / "m")
    if handlers != "none":
        files["code/inference.py"] = _TEMPLATE.read_bytes()
    if handlers == "changed":
        files["code/inference.py"] += b"\n# mine\n"
    asked = source(put_model(bench, "m", files), Environment=environment)
    assert preparation.prepare(asked, tmp_path / "v").kind == kind


def test_code_that_lies_elsewhere_comes_into_the_model(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    uri = put_model(bench, "m", {"model.pth": b"1", "code/old.py": b""})
    code = bench.code({"serve.py": "x = 1"})
    environment = {"SAGEMAKER_SUBMIT_DIRECTORY": code, "SAGEMAKER_PROGRAM": "serve.py"}
    prepared = preparation.prepare(source(uri, Environment=environment), tmp_path / "v")
    assert [entry.name for entry in (prepared.model / "code").iterdir()] == ["serve.py"]


def test_data_that_is_no_archive_is_brought_as_it_is(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    bench.put("plain/model.pth", "1")
    bench.put("plain/code/inference.py", "x = 1")
    data = {
        "S3DataSource": {
            "S3Uri": "s3://bench/plain/",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
    }
    prepared = preparation.prepare(source(None, ModelDataSource=data), tmp_path / "v")
    assert (prepared.model / "code/inference.py").read_text() == "x = 1"


def test_a_container_without_data_has_an_empty_model(
    preparation: Preparation, tmp_path: Path
) -> None:
    prepared = preparation.prepare(source(None), tmp_path / "v")
    assert list(prepared.model.iterdir()) == []


def test_many_models_are_fetched_one_by_one(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    put_model(bench, "many/one", {"code/inference.py": b"", "w": b"1"})
    asked = source("s3://bench/many/", Mode="MultiModel")
    prepared = preparation.prepare(asked, tmp_path / "v")
    assert prepared.multi_model
    folder = prepared.model / "one"
    folder.mkdir()
    preparation.bring_one(asked, "one/model.tar.gz", folder)
    assert (folder / "w").read_bytes() == b"1"
    with pytest.raises(ClaryError, match=r"model data\(bucket: bench, key: many/two.tar.gz\)"):
        preparation.bring_one(asked, "/two.tar.gz", tmp_path / "two")


def test_what_cannot_be_had_is_said(bench: Bench, preparation: Preparation, tmp_path: Path) -> None:
    damaged = bench.put("damaged.tar.gz", "no archive")
    plain = put_model(bench, "plain", {"weights": b"1"})
    colours = put_model(bench, "colours", colour_files(bench, tmp_path / "m"))
    for asked, words in (
        (source("s3://bench/nothing.tar.gz"), "Could not find model data at s3://bench/nothing"),
        (source("s3://nobucket/m.tar.gz"), "Could not find model data at s3://nobucket/"),
        (source(damaged), "valid tar.gz archive"),
        (source(plain, IMAGE), "has no model.json"),
        (source(colours, IMAGE, Environment={"CLARY_PRECISION": "int4"}), "'int4'"),
        (source(colours, IMAGE, Environment={"CLARY_PRECISION": "int8"}), "--calibrate"),
    ):
        with pytest.raises(ClaryError, match=words):
            preparation.prepare(asked, tmp_path / "v")
        assert PreparedModel.read(tmp_path / "v") is None


def test_requirements_make_an_interpreter(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    code = {"code/inference.py": b"", "code/requirements.txt": b"# nothing\n"}
    prepared = executor.replicas.preparation.prepare(
        source(put_model(bench, "m", code)), tmp_path / "v"
    )
    assert prepared.python is None
    code["code/setup.py"] = b"from setuptools import setup\nsetup(name='own', py_modules=[])\n"
    prepared = executor.replicas.preparation.prepare(
        source(put_model(bench, "n", code)), tmp_path / "w"
    )
    assert prepared.python not in {None, sys.executable}


def test_what_the_cache_has_lost_is_made_again(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    asked = colour_model(bench, tmp_path / "m")
    prepared = preparation.prepare(asked, tmp_path / "v")
    assert prepared.converted is not None
    shutil.rmtree(prepared.converted)
    # What the network is made of is no network: that it is tried is what is seen here.
    with pytest.raises(ClaryError, match="the networks to serve cannot be written"):
        preparation.prepare(asked, tmp_path / "v")
    shutil.rmtree(prepared.converted, ignore_errors=True)
    convert_colour_model(ConvertedModel(prepared.converted))
    assert preparation.prepare(asked, tmp_path / "v") == prepared


def test_an_interpreter_that_is_gone_is_made_again(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    code = {
        "code/inference.py": b"",
        "code/setup.py": b"from setuptools import setup\nsetup(name='own', py_modules=[])\n",
    }
    asked = source(put_model(bench, "n", code))
    preparation = executor.replicas.preparation
    first = preparation.prepare(asked, tmp_path / "v")
    assert first.python is not None
    shutil.rmtree(tmp_path / "v" / ".layer")
    again = preparation.prepare(asked, tmp_path / "v")
    assert again.python is not None
    assert Path(again.python).exists()


def test_a_folder_of_another_is_not_believed(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    old = source(put_model(bench, "old", {"weights": b"old"}))
    new = source(put_model(bench, "new", {"weights": b"new"}))
    preparation.prepare(old, tmp_path / "v")
    prepared = preparation.prepare(new, tmp_path / "v")
    assert (prepared.model / "weights").read_bytes() == b"new"


def test_only_the_owner_reads_the_environment(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    preparation.prepare(source(None, Environment={"TOKEN": "x"}), tmp_path / "v")
    assert (tmp_path / "v" / "prepared.json").stat().st_mode & 0o777 == 0o600


def test_one_container_in_a_list_is_the_container(
    bench: Bench, preparation: Preparation, tmp_path: Path
) -> None:
    alone = source(put_model(bench, "m", {"weights": b"1"}), Environment={"A": "1"})
    listed = ModelSource("x", alone.arn, {"Containers": [alone.request["PrimaryContainer"]]})
    prepared = preparation.prepare(listed, tmp_path / "v")
    assert (prepared.model / "weights").exists()
    assert prepared.environment == {"A": "1"}
