"""Whether the networks of trainings can be had, and when nobody needs to be asked for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from clary.sdk.cached_weights import are_of
from clary.sdk.network_checking import NetworkCheck
from clary.tuner.ranges import CategoricalRange, Space


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache, and a machine on which no program can be started."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


def asks(given: dict[str, Any], space: Space | None = None) -> bool:
    """Whether the program that knows more would have been started."""
    try:
        with NetworkCheck(space, given) as networks:
            networks.require()
    except FileNotFoundError:
        return True
    return False


def test_what_is_surely_there_needs_no_program(checkpoints: Path) -> None:
    assert not asks({"model": "resnet18", "weights": "none"})
    assert asks({"model": "resnet18"})
    (checkpoints / "resnet18-f37072fd.pth").touch()
    assert not asks({"model": "resnet18"})
    assert asks({"model": "resnet18.a1_in1k"})
    (checkpoints / "resnet18.a1_in1k.safetensors").touch()
    assert not asks({"model": "resnet18.a1_in1k"})
    assert asks({"model": "resnet19", "weights": "none"})


def test_an_earlier_model_says_which_network_it_is(tmp_path: Path) -> None:
    assert not asks({"weight_path": str(tmp_path)})
    assert not asks({}, Space((CategoricalRange("weight_path", ("a", "b")),)))


def test_all_networks_of_a_search_are_meant(checkpoints: Path) -> None:
    (checkpoints / "resnet18.a1_in1k.safetensors").touch()
    assert asks({}, Space((CategoricalRange("model", ("resnet18", "resnet50")),)))
    assert asks(
        {"model": "resnet50"}, Space((CategoricalRange("weights", ("none", "pretrained")),))
    )
    assert not asks({}, Space((CategoricalRange("weights", ("none", "pretrained")),)))


@pytest.mark.parametrize(
    ("cached", "network", "expected"),
    [
        ("resnet18.a1_in1k", "resnet18", True),
        ("resnet18-f37072fd", "resnet18", True),
        ("resnet18d.ra2_in1k", "resnet18", False),
        ("resnet18.tv_in1k", "resnet18.a1_in1k", False),
        ("resnet18.a1_in1k", "resnet18.a1_in1k", True),
    ],
)
def test_weights_are_told_by_their_names(cached: str, network: str, expected: bool) -> None:
    assert are_of(cached, network) is expected
