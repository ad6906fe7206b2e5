"""The export program on a small saved model, and its file in the library that reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clary.formats.model_archive import Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.jobs.export import main
from clary.jobs.program import exit_code
from clary.vision.models import save_model
from clary.vision.models.storage import build_described
from clary.vision.prediction import Predictor

# ONNX, which takes the longest to write, is read back where it is written: tests/vision/export.
SUFFIXES = {"openvino": ".xml", "torchscript": ".pt"}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLARY_HOME", str(tmp_path / "home"))
    description = ModelDescription(
        architecture=Architecture(name="test_resnet"),
        classes=("ant", "bee", "wasp"),
        preprocessing=Preprocessing(image_size=32, resize_size=36),
    )
    save_model(tmp_path / "model", build_described(description), description)
    return tmp_path / "model"


@pytest.mark.parametrize("kind", SUFFIXES)
def test_the_written_file_answers_as_the_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    output = tmp_path / "out" / f"m{SUFFIXES[kind]}"
    assert exit_code(main, [str(model), "--format", kind, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {output}" in said or f"+ {output}" in said
    assert "parity: probabilities differ by" in said
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    expected = Predictor.load(model, device="cpu").probabilities(list(images))
    assert np.abs(answers(kind, output, images) - expected).max() < 1e-3


def answers(kind: str, path: Path, images: np.ndarray) -> np.ndarray:
    if kind == "openvino":
        import openvino

        found: np.ndarray = openvino.Core().compile_model(path, "CPU")(images)["probabilities"]
        return found
    import torch

    return torch.jit.load(str(path))(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 1, "there is no model 'nowhere'"),
        (["MODEL", "--format", "coreml"], 2, "coreml"),
        (["MODEL", "--format", "onnx", "--output", "m.pt"], 2, "must end in .onnx"),
    ],
)
def test_mistakes_end_in_one_sentence(
    model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert exit_code(main, [str(model) if part == "MODEL" else part for part in arguments]) == code
    assert says in capsys.readouterr().err
