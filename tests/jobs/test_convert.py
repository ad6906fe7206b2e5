"""The program that makes models ready to be served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.formats.converted_model import ConvertedModel
from clary.formats.model_archive import Architecture, ModelDescription, pack_model
from clary.formats.preprocessing import Preprocessing
from clary.jobs.convert import main
from clary.jobs.program import exit_code
from clary.vision.models import save_model
from clary.vision.models.storage import build_described


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLARY_HOME", str(tmp_path / "home"))
    description = ModelDescription(
        architecture=Architecture(name="test_resnet"),
        classes=("class_0", "class_1", "class_2"),
        preprocessing=Preprocessing(image_size=32, resize_size=36),
    )
    save_model(tmp_path / "model", build_described(description), description)
    return tmp_path / "model"


def outcome(said: str) -> dict:
    return json.loads(said.splitlines()[-1])


def test_a_model_is_converted_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(main, [str(model), "--json"]) == 0
    first = outcome(capsys.readouterr().out)
    converted = ConvertedModel.of(model, tmp_path / "home" / "cache")
    assert converted.has("fp32")
    assert (first["folder"], first["fingerprint"]) == (str(converted.folder), converted.folder.name)
    assert (first["made"], first["precision"], first["calibration"]) == (True, "auto", None)
    assert first["difference"] < 1e-3
    archive = tmp_path / "model.tar.gz"
    pack_model(model, archive)
    assert exit_code(main, [str(archive), "--json", "--precision", "fp32"]) == 0
    again = outcome(capsys.readouterr().out)
    assert (again["made"], again["folder"]) == (False, first["folder"])
    assert exit_code(main, [str(model)]) == 0
    assert capsys.readouterr().out == f"converted  before: {converted.folder}\n"


def test_int8_is_calibrated_and_then_known(
    model: Path, picture_folder, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nncf", reason="int8 needs NNCF")
    pictures = picture_folder(per_class=6)
    assert exit_code(main, [str(model), "--precision", "int8", "--json"]) == 2
    assert "was not calibrated: give --calibrate PICTURES" in capsys.readouterr().err
    assert exit_code(main, [str(model), "--calibrate", str(pictures)]) == 0
    said = capsys.readouterr().out
    assert "int8       calibrated on 12 pictures" in said
    assert "accuracy   " in said and "on 3 pictures that it was not calibrated on" in said
    assert exit_code(main, [str(model), "--precision", "int8", "--json"]) == 0
    known = outcome(capsys.readouterr().out)
    assert known["precision"] == "int8"
    assert known["calibration"]["pictures"] == 12
    assert known["calibration"]["data"] == str(pictures)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 1, "there is no model 'nowhere'"),
        (["MODEL", "--precision", "fp16"], 2, "fp16"),
        (["MODEL", "--precision", "bf16", "--calibrate", "x"], 2, "needs no --calibrate"),
    ],
)
def test_mistakes_end_in_one_sentence(
    model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert exit_code(main, [str(model) if part == "MODEL" else part for part in arguments]) == code
    assert says in capsys.readouterr().err
