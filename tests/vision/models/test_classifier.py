from __future__ import annotations

import pytest
import torch
from torch import nn

from clary.errors import ModelError, UsageError
from clary.vision.models import build_classifier, build_head, parameter_groups, set_trainable

NAMES = ("a", "b", "c")


def small(name: str = "resnet18", **options: object) -> object:
    options.setdefault("image_size", 32)
    return build_classifier(name, NAMES, weights="none", **options)[0]


def test_head_has_dropout_before_each_linear_layer() -> None:
    kinds = [type(layer).__name__ for layer in build_head(8, 3, (6, 5), 0.2)]
    assert kinds == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [type(layer).__name__ for layer in build_head(8, 3)] == ["Linear"]


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("resnet18", 32, 5),
        ("mobilenetv2_100", 64, 8),
        ("convnext_atto", 64, 5),
        ("vit_tiny_patch16_224", 32, 13),
        ("densenet121", 64, 5),
    ],
)
def test_stages_hold_every_backbone_parameter_once(name: str, size: int, count: int) -> None:
    classifier = small(name, image_size=size)
    stages = classifier.stages()
    names = [name for stage in stages for name, _ in stage]
    assert sorted(names) == sorted(
        f"backbone.{name}" for name, _ in classifier.backbone.named_parameters()
    )
    assert len(stages) == count
    features = classifier.eval().forward_features(torch.zeros(2, 3, size, size))
    assert features.shape == (2, classifier.feature_count)
    assert classifier(torch.zeros(2, 3, size, size)).shape == (2, 3)


@pytest.mark.parametrize("layers", [0, 1, 3, 99, "all"])
def test_last_stages_learn_and_frozen_statistics_rest(layers: int | str) -> None:
    classifier = small()
    set_trainable(classifier, layers)
    stages = classifier.stages()
    first = 0 if layers == "all" else max(0, len(stages) - int(layers))
    for number, stage in enumerate(stages):
        assert {value.requires_grad for _, value in stage} == {number >= first}
    classifier.train()
    before = {name: value.clone() for name, value in classifier.named_buffers()}
    classifier(torch.randn(4, 3, 32, 32))
    frozen = {name for stage in stages[:first] for name, _ in stage}
    norms = [
        (name, module)
        for name, module in classifier.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    assert len(norms) == 20
    for name, module in norms:
        moved = not torch.equal(before[f"{name}.running_mean"], module.running_mean)
        assert moved == (f"{name}.weight" not in frozen), name
    assert all(value.requires_grad for value in classifier.head.parameters())
    assert not any(module.training for module in classifier.eval().modules())


def test_negative_layers_are_refused() -> None:
    with pytest.raises(UsageError, match="-1"):
        set_trainable(small(), -1)


def test_groups_decay_by_stage_and_spare_norms_and_biases() -> None:
    classifier = small(hidden=(7,))
    groups = parameter_groups(classifier, lr=1.0, weight_decay=0.1, layer_decay=0.5)
    by_name = {group["name"]: group for group in groups}
    assert by_name["head"]["lr"] == 1.0
    assert by_name["stage4"]["lr"] == 0.5
    assert by_name["stage0"]["lr"] == 0.5**5
    for group in groups:
        plain = group["name"].endswith(".plain")
        assert group["weight_decay"] == (0.0 if plain else 0.1)
        assert all((value.ndim <= 1) == plain for value in group["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(classifier.parameters()))
    set_trainable(classifier, 0)
    names = {group["name"] for group in parameter_groups(classifier, 1.0, 0.1)}
    assert names == {"head", "head.plain"}


def test_position_embeddings_have_no_weight_decay() -> None:
    classifier = small("vit_tiny_patch16_224")
    groups = parameter_groups(classifier, 1.0, 0.1)
    plain = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    assert id(classifier.backbone.pos_embed) in plain


def test_seed_decides_the_weights_and_leaves_the_global_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = small(seed=1), small(seed=1), small(seed=2)
    assert torch.equal(torch.rand(3), expected)
    same = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not torch.equal(first.backbone.conv1.weight, other.backbone.conv1.weight)
    assert not torch.equal(first.head[-1].weight, other.head[-1].weight)


def test_small_pictures_get_a_small_stem_when_learning_from_nothing() -> None:
    classifier, preprocessing, report = build_classifier(
        "resnet18", NAMES, weights="none", image_size=32
    )
    assert classifier.architecture.stem == "small"
    assert (preprocessing.image_size, preprocessing.resize_size) == (32, 32)
    assert any("stem" in note for note in report.notes)
    maps = classifier.backbone.forward_features(torch.zeros(1, 3, 32, 32))
    assert maps.shape == (1, 512, 4, 4)
    assert small(image_size=96).architecture.stem == "standard"
    assert small("mobilenetv2_100").architecture.stem == "standard"


def test_small_resnet_learns_from_nothing() -> None:
    classifier = small()
    labels = torch.arange(24) % 3
    pictures = torch.randn(24, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.3
    pictures[torch.arange(24), labels] += 0.5
    optimizer = torch.optim.SGD(parameter_groups(classifier, 0.02, 1e-4), momentum=0.9)
    losses = []
    for _ in range(8):
        loss = nn.functional.cross_entropy(classifier.train()(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet-18", "did you mean resnet18"),
        ("mobilenet_v2", "mobilenetv2"),
        ("efficientnetb0", "efficientnet_b0"),
        ("resnet18.best", "resnet18.tv_in1k"),
        ("???", "names look like"),
    ],
)
def test_unknown_names_get_the_nearest(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build_classifier(name, NAMES, weights="none")


def test_impossible_sizes_and_class_maps_are_refused() -> None:
    with pytest.raises(ModelError, match="32 px"):
        small("inception_v3")
    with pytest.raises(ModelError, match="at least 2 classes but got 1"):
        build_classifier("resnet18", ["only"], weights="none")
    with pytest.raises(ModelError, match="5000"):
        small(image_size=5000)


def test_preprocessing_is_what_the_network_was_trained_on() -> None:
    _, own, _ = build_classifier("resnet18", NAMES, weights="none")
    assert (own.image_size, own.resize_size, own.interpolation) == (224, 236, "bicubic")
    _, tagged, _ = build_classifier("resnet18.tv_in1k", NAMES, weights="none")
    assert (tagged.image_size, tagged.resize_size, tagged.interpolation) == (224, 256, "bilinear")
    _, other, _ = build_classifier("resnet18", NAMES, weights="none", image_size=128)
    assert (other.image_size, other.resize_size) == (128, round(128 / 0.95))
    _, vit, _ = build_classifier("vit_tiny_patch16_224", NAMES, weights="none")
    assert vit.mean == (0.5, 0.5, 0.5)
