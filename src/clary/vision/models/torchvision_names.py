"""Loads torchvision's files into timm's networks of the same make.

Both libraries list the tensors of MobileNetV2, EfficientNet and their like in the same order
under other names. Which torchvision network a file belongs to is found from its names and
shapes; that order alone was enough is proved each time, by running both on the same noise.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from clary.formats.preprocessing import Preprocessing
from clary.vision.models.architectures import quiet_timm, size_arguments
from clary.vision.models.weight_files import StateDict

TOLERANCE = 1e-4
_HEADS = ("fc", "classifier", "head", "heads")


@dataclass(frozen=True)
class Mapped:
    """Which torchvision network the file was, and the largest difference of logits, relative."""

    name: str
    difference: float
    preprocessing: Preprocessing


def same_make(name: str) -> list[str]:
    """torchvision's names that could mean the same network as a timm name, nearest first."""
    from torchvision import models

    bare = _bare(name)
    known = {_bare(other): other for other in models.list_models(module=models)}
    near = difflib.get_close_matches(bare, known, n=4, cutoff=0.6)
    return [known[other] for other in near]


def is_same_network(name: str, other: str) -> bool:
    """Whether a timm name and a torchvision name are spelled alike."""
    return _bare(name) == _bare(other)


def load_as_torchvision(
    name: str, backbone: nn.Module, state: StateDict, image_size: int
) -> Mapped | None:
    """Load torchvision's weights into a timm backbone, if they are and if that can be proved.

    Returns:
        What the file was, or None, the backbone untouched.
    """
    from torchvision import models

    for other in same_make(name):
        reference = _reference(other, state)
        if reference is None:
            continue
        ordered = {key: state[key] for key in reference.state_dict()}
        network = _timm_network(name, ordered, image_size)
        difference = _difference(reference, network, image_size) if network else float("inf")
        if network is not None and difference <= TOLERANCE:
            network.reset_classifier(0)
            backbone.load_state_dict(network.state_dict())
            first = next(iter(models.get_model_weights(other)))
            return Mapped(other, difference, published_preprocessing(first, image_size))
    return None


def published_preprocessing(weights: Any, image_size: int) -> Preprocessing:
    """The evaluation transform that torchvision publishes with weights, at another size if need be.

    Args:
        weights: a member of one of torchvision's weight enumerations.
        image_size: side of the input in pixels.
    """
    transform = weights.transforms()
    ratio = transform.resize_size[0] / transform.crop_size[0]
    return Preprocessing(
        image_size=image_size,
        resize_size=round(image_size * (ratio if image_size > 64 else 1)),
        interpolation="bicubic" if transform.interpolation.value == "bicubic" else "bilinear",
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def _bare(name: str) -> str:
    base = name.partition(".")[0].lower()
    return base.removesuffix("_100").replace("_", "").replace("-", "")


def _reference(name: str, state: StateDict) -> nn.Module | None:
    from torchvision import models

    rows = _head_rows(state)
    if rows is None:
        return None
    extra = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    with torch.device("meta"):
        network = models.get_model(name, weights=None, num_classes=rows, **extra)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    if any(key not in state or state[key].shape != shape for key, shape in shapes.items()):
        return None
    if any(key not in shapes for key in state):
        return None
    network.load_state_dict(state, assign=True)
    return cast("nn.Module", network.eval())


def _timm_network(name: str, state: StateDict, image_size: int) -> Any:
    import timm

    with quiet_timm():
        network = timm.create_model(
            name, num_classes=_head_rows(state), **size_arguments(name, image_size)
        )
    target = network.state_dict()
    if [tuple(value.shape) for value in target.values()] != [
        tuple(value.shape) for value in state.values()
    ]:
        return None
    network.load_state_dict(dict(zip(target, state.values(), strict=True)))
    return network.eval()


def _head_rows(state: StateDict) -> int | None:
    # Of several linear layers the last has the highest number: classifier.6 after classifier.3.
    biases = [key for key in state if key.partition(".")[0] in _HEADS and key.endswith(".bias")]
    return int(state[max(biases)].shape[0]) if biases else None


def _difference(reference: nn.Module, network: nn.Module, image_size: int) -> float:
    noise = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = reference(noise), network(noise)
    return float((expected - found).abs().max() / expected.abs().max().clamp(min=1e-12))
