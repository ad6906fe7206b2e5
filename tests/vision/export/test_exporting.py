from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from clary.errors import ExportError, FormatError, ParityError, UnreadablePicture, UsageError
from clary.vision.export import export_model
from clary.vision.export.exporting import SUFFIXES, check_parity, made_up_pictures
from clary.vision.prediction import Predictor

CLASSES = ("ant", "bee", "été")


@pytest.mark.parametrize("target_format", ["onnx", "openvino", "torchscript"])
@pytest.mark.parametrize("model", ["small_model", "cropped_model"])
def test_the_file_answers_as_the_model_does(
    tmp_path: Path, request: pytest.FixtureRequest, target_format: str, model: str
) -> None:
    folder: Path = request.getfixturevalue(model)
    output = tmp_path / "deep" / f"m{SUFFIXES[target_format]}"
    result = export_model(folder, target_format, output)
    assert result.path == output
    assert result.difference < 1e-3
    assert result.size_bytes == sum(path.stat().st_size for path in output.parent.iterdir())
    assert set(result.files) == set(output.parent.iterdir())
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, 120, 171, 3), dtype=np.uint8)
    expected = Predictor.load(folder).probabilities(list(images))
    found, classes = load_and_run(target_format, output, images)
    assert np.abs(found - expected).max() < 1e-3
    assert tuple(classes) == CLASSES


def load_and_run(target_format: str, path: Path, images: np.ndarray) -> tuple[np.ndarray, list]:
    if target_format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path))
        about = session.get_modelmeta().custom_metadata_map
        assert session.get_inputs()[0].shape == ["batch", "height", "width", 3]
        assert json.loads(about["preprocessing"])["image_size"] in {40, 96}
        found = session.run(["probabilities"], {"images": images})[0]
        return found, json.loads(about["classes"])
    if target_format == "openvino":
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        classes = json.loads(model.get_rt_info(["clary", "classes"]).astype(str))
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return compiled({"images": images})["probabilities"], classes
    import torch

    extra = {"classes": ""}
    loaded = torch.jit.load(str(path), _extra_files=extra)
    with torch.inference_mode():
        return loaded(torch.from_numpy(images)).numpy(), json.loads(extra["classes"])


def test_another_answer_is_a_parity_error_with_figures() -> None:
    pictures = made_up_pictures()[:2]
    expected = np.full((2, 3), 1 / 3, np.float32)

    def off_by(difference: float):
        return lambda images: np.full((len(images), 3), 1 / 3 + difference, np.float32)

    both = (expected, expected)
    assert check_parity(off_by(5e-4), pictures, *both) == pytest.approx(5e-4, rel=1e-3)
    with pytest.raises(ParityError, match=r"2\.00e-03 \(the bound is 1e-03\) on a .* of 500×375"):
        check_parity(off_by(2e-3), pictures, *both)
    with pytest.raises(ParityError, match="nan"):
        check_parity(off_by(float("nan")), pictures, *both)
    with pytest.raises(ParityError, match=r"\(1, 3\) for 1 and 2 pictures"):
        check_parity(lambda _: np.full((1, 3), 1 / 3, np.float32), pictures, *both)


def test_of_many_classes_the_logarithms_are_compared() -> None:
    pictures = made_up_pictures()[:1]
    row = np.full(2000, 1 / 2000, np.float32)
    other = row.copy()
    other[7] *= 1.05  # 2.5e-5 as a probability
    with pytest.raises(ParityError, match="log-probabilities differ from Clary's by 4"):
        check_parity(lambda images: np.stack([other] * len(images)), pictures, row[None], row[None])


def test_the_second_picture_of_a_batch_has_its_own_answer() -> None:
    pictures = made_up_pictures()[:1]
    one, two = np.array([[0.7, 0.3]], np.float32), np.array([[0.6, 0.4]], np.float32)

    def run(images: np.ndarray) -> np.ndarray:
        return np.concatenate([one, two])[: len(images)]

    assert check_parity(run, pictures, one, two) == 0
    with pytest.raises(ParityError, match=r"1\.00e-01"):
        check_parity(run, pictures, one, one)


def test_nothing_is_left_behind_when_parity_fails(tmp_path: Path, small_model: Path) -> None:
    output = tmp_path / "m.pt"
    output.write_text("the earlier export")
    with pytest.raises(ParityError, match="nothing was written"):
        export_model(small_model, "torchscript", output, parity_bound=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]
    assert output.read_text() == "the earlier export"


def test_what_cannot_be_exported_is_said(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="choose onnx, openvino, torchscript"):
        export_model(small_model, "coreml", tmp_path / "m")
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        export_model(small_model, "onnx", tmp_path / "m.pt")
    with pytest.raises(FormatError, match="there is no model"):
        export_model(tmp_path / "none", "onnx", tmp_path / "m.onnx")
    with pytest.raises(ExportError, match="cannot be read"):
        export_model(small_model, "onnx", tmp_path / "m.onnx", [tmp_path / "none.jpg"])
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UnreadablePicture):
        export_model(small_model, "onnx", tmp_path / "m.onnx", [tmp_path / "bad.jpg"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r'pip install "clary\[onnx\]"'):
        export_model(small_model, "onnx", tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jpg"]
