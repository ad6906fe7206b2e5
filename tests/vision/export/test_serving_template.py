"""The code in the archive, run as AWS runs it: unpacked, in a process that has no Clary."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clary.formats.model_archive import unpack_model
from clary.vision.export.serving_template import inference
from clary.vision.prediction import Encoded, Predictor

SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1] + "/code"]
sys.modules["clary"] = None
if sys.argv[3] == "pillow":
    sys.modules["simplejpeg"] = None
import json, pathlib, inference
model = inference.model_fn(sys.argv[1])
answers = {}
for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    kind = {".png": "image/png", ".jpg": "image/jpeg"}[path.suffix]
    pictures = inference.input_fn(path.read_bytes(), kind)
    body, accept = inference.output_fn(inference.predict_fn(pictures, model), "application/json")
    answers[path.name] = json.loads(body)[0]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number, size in enumerate([(90, 61), (40, 40), (33, 200), (300, 80)]):
        coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(folder / f"{number}.jpg", quality=90, exif=exif)
    picture.convert("L").save(folder / "grey.png")
    picture.convert("P").save(folder / "palette.png")
    layers = picture.convert("RGBA")
    layers.putalpha(90)
    layers.save(folder / "layers.png")
    return folder


@pytest.mark.parametrize("decoder", ["simplejpeg", "pillow"])
def test_it_answers_as_clary_does_without_clary(
    tmp_path: Path, small_model: Path, pictures: Path, decoder: str
) -> None:
    unpack_model(small_model.parent / "model.tar.gz", tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "model"), str(pictures), decoder],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    answers = json.loads(done.stdout)
    paths = sorted(pictures.iterdir())
    assert set(answers) == {path.name for path in paths}
    predictor = Predictor.load(small_model)
    for prediction in predictor.predict(paths):
        expected = dict(prediction.ranked)
        found = answers[Path(prediction.name).name]
        # Pillow's inverse cosine transform is another than simplejpeg's fast one.
        loose = decoder == "pillow" and prediction.name.endswith(".jpg")
        for name, value in zip(predictor.description.classes, found, strict=True):
            assert abs(value - expected[name]) < (0.05 if loose else 1e-5), prediction.name


@pytest.fixture(scope="module")
def served(small_model: Path) -> inference.Served:
    return inference.model_fn(str(small_model))


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def test_every_way_to_send_pixels_gives_one_answer(served: inference.Served) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 60, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    np.save(buffer, images)
    in_base64 = [{"b64": base64.b64encode(encoded(image)).decode()} for image in images]
    requests = [
        (json.dumps(images.tolist()), "application/json"),
        (json.dumps({"instances": images.tolist()}), "application/json; charset=utf-8"),
        (json.dumps({"instances": in_base64}), "application/json"),
        (buffer.getvalue(), "application/x-npy"),
    ]
    answers = [
        inference.predict_fn(inference.input_fn(body, kind), served).probabilities
        for body, kind in requests
    ]
    for answer in answers:
        assert answer.shape == (2, 3)
        assert np.allclose(answer, answers[0], atol=1e-6)
        assert np.allclose(answer.sum(axis=1), 1, atol=1e-5)
    one = inference.input_fn(encoded(images[0]), "application/x-image")
    assert np.allclose(inference.predict_fn(one, served).probabilities[0], answers[0][0], atol=1e-6)


def test_every_form_of_answer(served: inference.Served) -> None:
    answer = inference.Answer(np.array([[0.2, 0.7, 0.1]], np.float32), list("abc"))
    for accept in ("*/*", "", "application/json"):
        body, kind = inference.output_fn(answer, accept)
        assert kind == "application/json"
        assert np.allclose(json.loads(body), [[0.2, 0.7, 0.1]])
    body, _ = inference.output_fn(answer, "application/json;verbose=true")
    (prediction,) = json.loads(body)["predictions"]
    assert prediction["label"] == "b"
    assert set(prediction["probabilities"]) == {"a", "b", "c"}
    body, _ = inference.output_fn(answer, "application/x-npy")
    assert np.array_equal(np.load(io.BytesIO(body), allow_pickle=False), answer.probabilities)
    body, _ = inference.output_fn(answer, "text/csv")
    assert [float(cell) for cell in body.split(",")] == pytest.approx([0.2, 0.7, 0.1])
    with pytest.raises(inference.BadRequestError, match="text/html"):
        inference.output_fn(answer, "text/html")


# A BMP header that announces 60,000 by 60,000 pixels.
BOMB = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60000, 60000, 1, 24, *[0] * 6)


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"no picture", "image/jpeg", "not a readable picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/jpeg", "not a readable"),
        (encoded(np.zeros((20, 20), np.float32), "TIFF"), "image/tiff", "no known range"),
        (BOMB, "image/bmp", "exceeds limit"),
        (encoded(np.zeros((20, 20, 3), np.uint8), "JPEG")[:-40], "image/jpeg", "not a readable"),
        (b"{", "application/json", "not JSON"),
        (b"{}", "application/json", "holds no pictures"),
        (b"[]", "application/json", "holds no pictures"),
        (b"[[1, 2]]", "application/json", "shape"),
        (b"[[[1, 2, 300]]]", "application/json", "0 to 255"),
        (b"[[[0.1, 0.2, 0.3]]]", "application/json", "not normalised"),
        (b'[{"b64": "?"}]', "application/json", "b64"),
        (pickled(), "application/x-npy", ".npy"),
        (b"PK\x03\x04", "application/x-npy", ".npy"),
        (b"x", "text/plain", "is not served"),
    ],
)
def test_bad_requests_are_said(
    served: inference.Served, body: bytes, kind: str, words: str
) -> None:
    with pytest.raises(inference.BadRequestError, match=words):
        inference.predict_fn(inference.input_fn(body, kind), served)


def test_a_few_stray_bytes_lose_nothing(served: inference.Served) -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8), "JPEG")
    strayed = whole[:-2] + b"\0" * 5 + whole[-2:]
    answers = [inference.predict_fn([data], served).probabilities for data in (whole, strayed)]
    assert np.abs(answers[0] - answers[1]).max() < 0.05
    with pytest.raises(inference.BadRequestError, match="extraneous"):
        inference.predict_fn([whole[:-2] + b"\0" * 50 + whole[-2:]], served)


@pytest.mark.parametrize("decoder", ["simplejpeg", "pillow"])
@pytest.mark.parametrize("turn", [1, 6])
def test_a_large_jpeg_is_answered_as_clary_does(
    small_model: Path,
    served: inference.Served,
    monkeypatch: pytest.MonkeyPatch,
    decoder: str,
    turn: int,
) -> None:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((3000, 2200), Image.Resampling.BICUBIC)).astype(int)
    pixels += rng.integers(-30, 31, pixels.shape)
    exif = Image.Exif()
    exif[0x0112] = turn
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", exif=exif)
    if decoder == "pillow":
        monkeypatch.setattr(inference, "simplejpeg", None)
    shapes = inference._decode(buffer.getvalue(), 80).shape
    assert shapes == ((275, 375, 3) if turn == 1 else (375, 275, 3))
    found = inference.predict_fn([buffer.getvalue()], served).probabilities[0]
    (expected,) = Predictor.load(small_model).predict([Encoded("large", buffer.getvalue())])
    wanted = [dict(expected.ranked)[name] for name in served.description["classes"]]
    # Measured: 3e-8 with both. At an eighth, only the mean of a block is left to transform.
    assert np.abs(found - wanted).max() < 1e-5


def test_a_later_format_is_refused(tmp_path: Path, small_model: Path) -> None:
    content = json.loads((small_model / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(ValueError, match="version 2"):
        inference.model_fn(str(tmp_path))
