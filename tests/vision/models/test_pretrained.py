from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from clary.errors import ModelError
from clary.vision.models import build_classifier

NAMES = ("a", "b")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache of downloads, empty, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None).state_dict()


def test_without_a_hub_one_sentence_says_what_to_do(hub: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        build_classifier("resnet18", NAMES)
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert "timm/resnet18.a1_in1k" in message
    assert "--weights FILE" in message
    assert "--weights none" in message
    assert str(hub / "resnet18.a1_in1k.safetensors") in message
    assert "\n" not in message


def test_a_file_put_by_hand_is_used(hub: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, hub / "resnet18.a1_in1k.safetensors")
    classifier, preprocessing, report = build_classifier("resnet18", NAMES)
    assert torch.equal(classifier.backbone.conv1.weight, state["conv1.weight"])
    assert report.source == "timm/resnet18.a1_in1k"
    assert preprocessing.interpolation == "bicubic"


def test_torchvisions_cache_is_the_last_resort_and_said(
    hub: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save(state, hub / "resnet18-f37072fd.pth")
    classifier, preprocessing, report = build_classifier("resnet18", NAMES)
    assert torch.equal(classifier.backbone.conv1.weight, state["conv1.weight"])
    assert report.source == "torchvision resnet18-f37072fd.pth"
    assert any("could not be fetched" in note for note in report.notes)
    assert (preprocessing.interpolation, preprocessing.resize_size) == ("bilinear", 256)


def test_tagged_weights_are_found_under_their_released_name(
    hub: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save(state, hub / "resnet18-f37072fd.pth")
    _, _, report = build_classifier("resnet18.tv_in1k", NAMES)
    assert report.source == "timm/resnet18.tv_in1k"
    assert not any("could not be fetched" in note for note in report.notes)


def test_nothing_is_printed_and_no_socket_opened_for_random_weights(tmp_path: Path) -> None:
    script = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "from clary.vision.models import build_classifier\n"
        "build_classifier('resnet18', ('a', 'b'), weights='none', image_size=64)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TORCH_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
