from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from clary.errors import ModelError
from clary.vision.models import build_classifier
from clary.vision.models.weight_files import file_digest, read_weights, strip_prefixes

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None).eval()


def features(reference: nn.Module, head: str, pictures: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    hook = reference.get_submodule(head).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    with torch.inference_mode():
        reference(pictures)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(
    ("theirs", "ours", "head"),
    [
        ("resnet18", "resnet18", "fc"),
        ("resnet50", "resnet50", "fc"),
        ("mobilenet_v2", "mobilenetv2_100", "classifier.1"),
        ("densenet121", "densenet121", "classifier"),
        ("efficientnet_b0", "efficientnet_b0", "classifier.1"),
        pytest.param("vgg19_bn", "vgg19_bn", "classifier.6", marks=pytest.mark.slow),
    ],
)
def test_torchvision_files_give_torchvision_features(
    tmp_path: Path, theirs: str, ours: str, head: str
) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(theirs, weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.weight, 0.8, 1.2)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    classifier, _, report = build_classifier(ours, NAMES, weights=tmp_path / "w.pth")
    pictures = torch.randn(2, 3, 224, 224)
    expected = features(network, head, pictures)
    with torch.inference_mode():
        found = classifier.eval().forward_features(pictures)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert any("1,000 classes was left out" in note for note in report.notes)
    assert report.file_sha256 == file_digest(tmp_path / "w.pth")


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "module.", "model.module.", "backbone."])
def test_wrappers_and_prefixes_come_off(tmp_path: Path, reference: nn.Module, wrap: str) -> None:
    state = reference.state_dict()
    path = tmp_path / "w.pth"
    if wrap == "state_dict":
        content: object = {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}
    elif wrap == "plain":
        content = state
    else:
        content = OrderedDict((wrap + name, value) for name, value in state.items())
    torch.save(content, path)
    classifier, _, _ = build_classifier("resnet18", NAMES, weights=str(path))
    assert torch.equal(classifier.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def test_prefixes_that_hide_another_name_stay() -> None:
    state = {"model.a": torch.zeros(1), "model.b": torch.zeros(1), "head.a": torch.zeros(1)}
    assert strip_prefixes(state) == state
    nested = {f"module.model.{name}": torch.zeros(1) for name in "abc"}
    assert set(strip_prefixes(nested)) == {"a", "b", "c"}


def test_safetensors_load_and_a_cut_file_is_said(tmp_path: Path, reference: nn.Module) -> None:
    path = tmp_path / "w.safetensors"
    save_file(reference.state_dict(), path)
    classifier, _, report = build_classifier("resnet18", NAMES, weights=path)
    assert torch.equal(classifier.backbone.conv1.weight, reference.conv1.weight)
    _, _, other = build_classifier("resnet18.tv_in1k", NAMES, weights=path)
    assert report.fingerprint != other.fingerprint
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        build_classifier("resnet18", NAMES, weights=path)


def test_pickled_models_need_trust(tmp_path: Path, reference: nn.Module) -> None:
    path = tmp_path / "model.pt"
    torch.save(reference, path)
    with pytest.raises(ModelError, match="--trust-pickle"):
        build_classifier("resnet18", NAMES, weights=path)
    classifier, _, _ = build_classifier("resnet18", NAMES, weights=path, trust_pickle=True)
    assert torch.equal(classifier.backbone.conv1.weight, reference.conv1.weight)


@pytest.mark.parametrize("content", [b"", b"text", b"not weights", b"PK\x03\x04 cut"])
def test_what_is_no_weights_file_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as weights"):
        read_weights(tmp_path / "w.pth")


def test_missing_empty_and_foreign_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        read_weights(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="no weights by name"):
        read_weights(tmp_path / "list.pth")


def test_another_architecture_is_refused_with_the_first_names(
    tmp_path: Path, reference: nn.Module
) -> None:
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"missing \(.*conv3.weight"):
        build_classifier("resnet50", NAMES, weights=tmp_path / "w.pth")
    deeper = torchvision.models.resnet34(weights=None).state_dict()
    torch.save(deeper, tmp_path / "deeper.pth")
    # A ResNet-34 holds every name and shape of a ResNet-18: the surplus must not pass.
    with pytest.raises(ModelError, match=r"unexpected \(layer1\.2"):
        build_classifier("resnet18", NAMES, weights=tmp_path / "deeper.pth")


def test_the_order_in_the_file_does_not_matter(tmp_path: Path) -> None:
    state = torchvision.models.mobilenet_v2(weights=None).state_dict()
    torch.save(OrderedDict(reversed(state.items())), tmp_path / "w.pth")
    classifier, _, _ = build_classifier("mobilenetv2_100", NAMES, weights=tmp_path / "w.pth")
    assert torch.equal(classifier.backbone.conv_stem.weight, state["features.0.0.weight"])


def test_same_shapes_that_compute_something_else_are_not_believed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = torchvision.models.efficientnet_b0(weights=None).state_dict()
    torch.save(state, tmp_path / "w.pth")
    # The tensors fit one by one, but TensorFlow's networks pad on other sides.
    with pytest.raises(ModelError, match="does not fit tf_efficientnet_b0"):
        build_classifier("tf_efficientnet_b0", NAMES, weights=tmp_path / "w.pth")


@pytest.mark.real_data
def test_real_weights_know_their_preprocessing(weights_dir: Path) -> None:
    _, preprocessing, report = build_classifier(
        "mobilenetv2_100", NAMES, weights=weights_dir / "mobilenet_v2.pth"
    )
    assert (preprocessing.resize_size, preprocessing.interpolation) == (256, "bilinear")
    assert "mapped onto mobilenetv2_100" in report.notes[0]


def test_positions_are_resampled_for_another_size(tmp_path: Path) -> None:
    own, _, _ = build_classifier("vit_tiny_patch16_224", NAMES, weights="none")
    torch.save(own.backbone.state_dict(), tmp_path / "w.pth")
    small, _, _ = build_classifier(
        "vit_tiny_patch16_224", NAMES, weights=tmp_path / "w.pth", image_size=96
    )
    assert small.backbone.pos_embed.shape == (1, 1 + 36, 192)
    assert small(torch.zeros(1, 3, 96, 96)).shape == (1, 3)
