"""What is served answers as `Predictor` does, on real pictures and every kind of file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clary.endpoint.codecs import Cropper
from clary.endpoint.runtimes.openvino_runtime import OpenVINORuntime
from clary.formats.model_archive import ModelDescription
from clary.settings import GIB
from clary.vision.caching import CacheStore
from clary.vision.export.serving import convert_model
from clary.vision.models import build_classifier, save_model
from clary.vision.prediction import Predictor

BREEDS = tuple(f"breed {number}" for number in range(20))
BOUND = 1e-3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path) -> Path:
    """MobileNetV2 with ImageNet's weights and a head that answers clearly."""
    torch.manual_seed(0)
    classifier, preprocessing, _ = build_classifier(
        "mobilenetv2_100", BREEDS, weights=str(weights_dir / "mobilenet_v2.pth"), seed=0
    )
    with torch.no_grad():
        classifier.head[-1].weight.mul_(6)
    description = ModelDescription(
        architecture=classifier.architecture, classes=BREEDS, preprocessing=preprocessing
    )
    folder = tmp_path_factory.mktemp("parity") / "model"
    save_model(folder, classifier, description)
    return folder


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def files_of_every_kind(photo: Image.Image) -> dict[str, bytes]:
    files = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[f"JPEG, EXIF orientation {orientation}"] = saved(photo, "JPEG", exif=exif)
    cut = photo.crop((3, 5, 64, 88))
    transparent = photo.convert("RGBA")
    ramp = np.tile(np.linspace(0, 255, photo.width).astype(np.uint8), (photo.height, 1))
    transparent.putalpha(Image.fromarray(ramp))
    wide = (np.asarray(photo.convert("L")).astype(np.uint16) * 257) ^ 0x55
    return files | {
        "CMYK JPEG": saved(photo.convert("CMYK"), "JPEG"),
        "grey JPEG": saved(photo.convert("L"), "JPEG"),
        "progressive JPEG": saved(photo, "JPEG", progressive=True),
        "PNG with alpha": saved(transparent, "PNG"),
        "PNG with a palette": saved(photo.quantize(64), "PNG"),
        "PNG of 16 bits": saved(Image.fromarray(wide), "PNG"),
        "WebP": saved(photo, "WEBP"),
        "lossless WebP": saved(transparent, "WEBP", lossless=True),
        "GIF": saved(photo.quantize(64), "GIF"),
        "BMP": saved(photo, "BMP"),
        "TIFF": saved(photo, "TIFF", compression="tiff_lzw"),
        "61×83": saved(cut, "PNG"),
        "1×300": saved(photo.resize((1, 300)), "PNG"),
        "900×7": saved(photo.resize((900, 7)), "PNG"),
        "large JPEG": saved(photo.resize((2600, 1950)), "JPEG"),
        "large JPEG of odd sides": saved(photo.resize((2051, 2333)), "JPEG"),
    }


@pytest.mark.real_data
def test_fp32_answers_within_a_thousandth(model, dogs, hymenoptera, tmp_path):
    store = CacheStore(tmp_path / "cache", GIB)
    runtime = OpenVINORuntime(convert_model(model, store).converted.folder, "fp32")
    (stream,) = runtime.streams(1)
    crop = Cropper(runtime.preprocessing)
    paths = [*sorted(dogs.rglob("*.jpg"))[::160], *sorted(hymenoptera.rglob("*.jpg"))[::40]]
    with Image.open(sorted(hymenoptera.rglob("*.jpg"))[3]) as photo:
        photo.load()
        made = files_of_every_kind(photo.convert("RGB"))
    for number, content in enumerate(made.values()):
        paths.append(tmp_path / f"made-{number}")
        paths[-1].write_bytes(content)
    expected = list(Predictor.load(model, device="cpu").predict(paths))
    assert [one.error for one in expected] == [None] * len(paths)
    names = [str(path) for path in paths[: -len(made)]] + list(made)
    far: dict[str, float] = {}
    for name, path, prediction in zip(names, paths, expected, strict=True):
        crops = crop(path.read_bytes())[None]
        (answer,) = stream.probabilities(crops)
        wanted = np.array([dict(prediction.ranked)[breed] for breed in BREEDS])
        difference = float(np.abs(answer - wanted).max())
        if not difference < BOUND:
            far[name] = difference
    assert far == {}
    assert len({one.label for one in expected}) > 3


@pytest.mark.real_data
def test_a_batch_answers_as_its_pictures_do_alone(model, dogs, tmp_path):
    store = CacheStore(tmp_path / "cache", GIB)
    folder = convert_model(model, store).converted.folder
    runtime = OpenVINORuntime(folder, "fp32")
    (stream,) = runtime.streams(1)
    paths = sorted(dogs.rglob("*.jpg"))[:8]
    crop = Cropper(runtime.preprocessing)
    crops = np.stack([crop(path.read_bytes()) for path in paths])
    together = stream.probabilities(crops)
    alone = np.concatenate([stream.probabilities(one[None]) for one in crops])
    assert np.abs(together - alone).max() < 1e-5
