from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clary.formats.model_archive import Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.jobs.explain import draw, main, table
from clary.jobs.program import exit_code
from clary.vision.explain import Explanation, Prediction
from clary.vision.heat_maps import Box
from clary.vision.models import save_model
from clary.vision.models.storage import build_described
from clary.vision.prediction import predict


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


def test_it_writes_a_picture_and_prints_the_classes(model, picture_folder, tmp_path, capsys):
    picture = next(picture_folder(per_class=1).rglob("*.jpg"))
    target = tmp_path / "out" / "why.png"
    assert exit_code(main, [str(model), str(picture), "-o", str(target), "--class", "bee"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("ant", "* bee", "wasp", str(target)))
    with Image.open(target) as drawn:
        assert drawn.format == "PNG"
        assert drawn.width > 3 * 400


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["MODEL", "missing.jpg"], "missing.jpg cannot be read"),
        (["MODEL", "PICTURE", "--class", "bea"], "did you mean 'bee'"),
        (["MODEL", "PICTURE", "--output", "heat.jpg"], "end its name in .png"),
        (["nowhere", "PICTURE"], "there is no model 'nowhere'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    model, picture_folder, capsys, arguments, says, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    picture = next(picture_folder(per_class=1).rglob("*.jpg"))
    places = {"MODEL": str(model), "PICTURE": str(picture)}
    assert exit_code(main, [places.get(part, part) for part in arguments]) in {1, 2}
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_a_large_jpeg_is_explained_with_the_pixels_that_are_predicted(model, tmp_path, capsys):
    picture = tmp_path / "large.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture)
    assert exit_code(main, [str(model), str(picture), "-o", str(tmp_path / "o.png")]) == 0
    said = capsys.readouterr().out
    (predicted,) = predict(model, [picture])
    assert f"* {predicted.label}" in said
    for label, probability in predicted.ranked:
        assert f"{probability:.1%}" in next(line for line in said.splitlines() if label in line)


@pytest.mark.parametrize("shape", [(20, 30), (10, 2000), (900, 100)])
def test_pictures_of_any_shape_are_drawn(shape):
    picture = np.zeros((*shape, 3), dtype=np.uint8)
    rows = tuple(Prediction(k, f"{'long ' * 20}{k}", 0.2) for k in range(5))
    explanation = Explanation(
        picture,
        rows,
        Prediction(9, "other", 0.01),
        np.zeros(shape, np.float32),
        Box(0, 0, shape[1], shape[0]),
    )
    drawn = draw(explanation, "title " * 50)
    assert 1000 < drawn.width + drawn.height < 3000
    assert len(table(explanation).splitlines()) == 6
