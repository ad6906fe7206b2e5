from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import timm
import torch
from torch import nn

from clary.errors import ModelError, UsageError
from clary.formats.model_archive import Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.vision.explain import class_activations, class_label, explain, explain_all, seen_box
from clary.vision.models.classifier import Classifier, build_head

SIDE = 48
PREPROCESSING = Preprocessing(image_size=SIDE, resize_size=SIDE)
CLASSES = ("no square", "square")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TinyBackbone(nn.Module):
    """Three convolutions in timm's manner."""

    num_features = 16

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()
        )

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)

    def forward_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(60, 120, (height, width, 3), dtype=np.uint8)


def with_square(picture: np.ndarray, row: int, column: int, side: int = 10) -> np.ndarray:
    picture = picture.copy()
    picture[row : row + side, column : column + side] = 250
    return picture


@pytest.fixture(scope="module")
def square_finder() -> Classifier:
    """A network that has learned to tell whether there is a bright square."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    classifier = Classifier(TinyBackbone(), build_head(16, 2), Architecture(name="tiny"))
    optimizer = torch.optim.Adam(classifier.parameters(), 1e-2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    for _ in range(60):
        pictures = [noise(rng, SIDE, SIDE) for _ in range(32)]
        pictures[16:] = [with_square(p, *rng.integers(0, 38, 2)) for p in pictures[16:]]
        inputs = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        labels = torch.tensor([0] * 16 + [1] * 16)
        loss = nn.functional.cross_entropy(classifier((inputs - mean) / std), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    return classifier.eval()


@pytest.fixture
def description() -> ModelDescription:
    return ModelDescription(
        architecture=Architecture(name="tiny"), classes=CLASSES, preprocessing=PREPROCESSING
    )


@pytest.mark.parametrize(("row", "column"), [(4, 6), (30, 8), (12, 34), (36, 36)])
def test_the_heat_lies_on_the_evidence(square_finder, description, row, column):
    picture = with_square(noise(np.random.default_rng(9), SIDE, SIDE), row, column)
    result = explain(square_finder, description, picture, target="square")
    assert result.top[0].name == "square"
    assert result.heat.shape == (SIDE, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    weight = result.heat**2
    centre = (rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()
    assert row <= centre[0] <= row + 10
    assert column <= centre[1] <= column + 10
    assert result.heat.max() == pytest.approx(1, abs=0.1)


def test_the_heat_map_is_that_of_the_original_picture(square_finder, description):
    # Twice as large and wide: the network sees the middle at half the size.
    picture = with_square(noise(np.random.default_rng(3), 96, 192), 60, 110, side=20)
    result = explain(square_finder, description, picture, target="square")
    assert (result.seen.left, result.seen.right) == (48, 144)
    assert result.heat.shape == (96, 192)
    assert not result.heat[:, :48].any()
    assert not result.heat[:, 144:].any()
    row, column = np.unravel_index(result.heat.argmax(), result.heat.shape)
    assert 56 <= row <= 84
    assert 106 <= column <= 134
    drawn = result.overlay()
    assert drawn.shape == picture.shape
    assert drawn[:, :48].mean() < 0.5 * picture[:, :48].mean()


def test_a_batch_gives_what_each_picture_gives_alone(square_finder, description):
    rng = np.random.default_rng(4)
    pictures = [with_square(noise(rng, SIDE, SIDE), 5, 5), noise(rng, 60, 80)]
    together = explain_all(square_finder, description, pictures, [1, None])
    for picture, target, one in zip(pictures, (1, None), together, strict=True):
        alone = explain(square_finder, description, picture, target=target)
        np.testing.assert_allclose(one.heat, alone.heat, atol=1e-4)
        assert one.target.label == alone.target.label


def test_explaining_leaves_the_model_as_it_was(square_finder, description):
    square_finder.train()
    square_finder.zero_grad()
    explain(square_finder, description, noise(np.random.default_rng(5), 50, 50))
    assert square_finder.training
    assert all(parameter.grad is None for parameter in square_finder.parameters())
    square_finder.eval()


def test_a_temperature_changes_the_probabilities_only(square_finder, description):
    picture = with_square(noise(np.random.default_rng(6), SIDE, SIDE), 20, 20)
    hot = description.model_copy(update={"temperature": 4.0})
    cool, warm = (explain(square_finder, d, picture) for d in (description, hot))
    assert warm.top[0].probability < cool.top[0].probability
    np.testing.assert_array_equal(warm.heat, cool.heat)


@pytest.mark.parametrize(
    ("name", "side", "grid"),
    [
        ("test_resnet", 64, (2, 2)),
        ("test_vit", 160, (10, 10)),
        ("test_convnext", 64, (2, 2)),
        ("mobilenetv3_small_050", 64, (2, 2)),
        ("swin_tiny_patch4_window7_224", 224, (7, 7)),
        ("deit_tiny_distilled_patch16_224", 224, (14, 14)),
    ],
)
def test_networks_of_every_kind_have_a_map(name, side, grid):
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0)
    width = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    classifier = Classifier(backbone, build_head(width, 3), Architecture(name=name))
    for parameter in backbone.parameters():
        parameter.requires_grad = False
    inputs = torch.randn(2, 3, side, side)
    logits, maps = class_activations(classifier, inputs, [0, 2])
    # Random weights may speak against a class everywhere; the opposite class then has the heat.
    _, others = class_activations(classifier, inputs, [1, 1])
    assert maps.shape[1:] == grid
    assert maps.shape[0] == 2
    assert logits.shape == (2, 3)
    assert max(maps.max(), others.max()) == pytest.approx(1)
    assert maps.min() >= 0


def test_tokens_without_a_grid_are_refused():
    classifier = Classifier(
        timm.create_model("coat_lite_tiny", num_classes=0),
        build_head(320, 2),
        Architecture(name="x"),
    )
    with pytest.raises(ModelError, match="do not form a grid"):
        class_activations(classifier, torch.randn(1, 3, 224, 224), [None])


def test_nan_is_said(square_finder, description):
    broken = Classifier(TinyBackbone(), build_head(16, 2), Architecture(name="tiny"))
    nn.init.constant_(broken.head[0].weight, float("nan"))
    with pytest.raises(ModelError, match="NaN"):
        explain(broken, description, noise(np.random.default_rng(0), 48, 48))


def test_a_class_is_found_by_name_or_number():
    assert class_label(("ant", "bee"), "bee") == 1
    assert class_label(("ant", "bee"), "1") == 1
    assert class_label(("10", "1"), "1") == 1
    with pytest.raises(
        UsageError, match="'be' is none of the model's 2 classes: did you mean 'bee'"
    ):
        class_label(("ant", "bee"), "be")
    with pytest.raises(UsageError, match="2"):
        class_label(("ant", "bee"), 2)


def test_a_tiny_picture_has_a_box():
    box = seen_box(1, 1, Preprocessing(image_size=8, resize_size=4000))
    assert (box.right - box.left, box.bottom - box.top) == (1, 1)
