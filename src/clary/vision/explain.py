"""Which part of a picture speaks for a class: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2017, of the class's logit less the mean of all logits. The features are those
after a convolutional network's last stage; of a vision transformer, the patch tokens that enter
its last attention.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from clary.errors import ModelError, UsageError
from clary.formats.model_archive import ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.vision.geometry import EvaluationTransform, evaluation_box
from clary.vision.heat_maps import Box, Heat, Pixels, overlay, placed
from clary.vision.transforms import to_network_input

if TYPE_CHECKING:
    from clary.vision.models import Classifier


@dataclass(frozen=True)
class Prediction:
    """A class with its probability, 0…1."""

    label: int
    name: str
    probability: float


@dataclass(frozen=True)
class Explanation:
    """Why a model answers as it does.

    `top` are the likeliest classes, at most five. `heat`, of the shape (H, W) of the original
    picture, is 0…1: how much a place speaks for `target`; it is 0 outside of `seen`, the centre
    that the network gets to see, and 0 everywhere when nothing speaks for the class.
    """

    picture: Pixels
    top: tuple[Prediction, ...]
    target: Prediction
    heat: Heat
    seen: Box

    def overlay(self) -> Pixels:
        """The original picture under its heat map, shape (H, W, 3)."""
        return overlay(self.picture, self.heat, self.seen)


def explain(
    classifier: Classifier,
    description: ModelDescription,
    picture: Pixels,
    *,
    target: str | int | None = None,
) -> Explanation:
    """Explain the answer to one picture.

    Args:
        classifier: the model; its mode and its gradients are left as they are.
        description: its classes, preprocessing and temperature.
        picture: decoded, uint8 of shape (H, W, 3).
        target: the class to look for, by name or number; default is the likeliest one.

    Returns:
        The likeliest classes and the heat map.

    Raises:
        UsageError: there is no such class.
        ModelError: the network has no feature map to look at, or answers NaN.
    """
    label = None if target is None else class_label(description.classes, target)
    return explain_all(classifier, description, [picture], [label])[0]


def explain_all(
    classifier: Classifier,
    description: ModelDescription,
    pictures: Sequence[Pixels],
    targets: Sequence[int | None],
) -> list[Explanation]:
    """Explain the answers to a batch of pictures; `targets[i]` None stands for the likeliest.

    Raises:
        ModelError: the network has no feature map to look at, or answers NaN.
    """
    device = next(classifier.parameters()).device
    transform = EvaluationTransform(description.preprocessing)
    inputs = to_network_input(
        torch.from_numpy(np.stack([transform(picture) for picture in pictures])),
        description.preprocessing,
        device=device,
        dtype=torch.float32,
        channels_last=False,
    )
    logits, maps = class_activations(classifier, inputs, targets)
    probabilities = (logits / description.temperature).softmax(dim=1).cpu().numpy()
    explanations = []
    for picture, target, row, small in zip(pictures, targets, probabilities, maps, strict=True):
        order = np.argsort(-row, kind="stable")
        ranked = [Prediction(int(k), description.classes[k], float(row[k])) for k in order]
        seen = seen_box(picture.shape[0], picture.shape[1], description.preprocessing)
        explanations.append(
            Explanation(
                picture=picture,
                top=tuple(ranked[:5]),
                target=ranked[0] if target is None else ranked[int(np.argmax(order == target))],
                heat=placed(small, picture.shape[0], picture.shape[1], seen),
                seen=seen,
            )
        )
    return explanations


def class_label(classes: Sequence[str], target: str | int) -> int:
    """The number of a class given by name or number.

    Raises:
        UsageError: there is no such class.
    """
    if isinstance(target, str) and target in classes:
        return list(classes).index(target)
    text = str(target)
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    near = difflib.get_close_matches(text, classes, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"the first is {classes[0]!r}"
    raise UsageError(f"{text!r} is none of the model's {len(classes)} classes: {hint}")


def seen_box(height: int, width: int, preprocessing: Preprocessing) -> Box:
    """The centre square of a picture that the evaluation transform keeps."""
    left, top, right, bottom = (
        round(edge) for edge in evaluation_box(width, height, preprocessing)
    )
    return Box(left, top, max(right, left + 1), max(bottom, top + 1))


def class_activations(
    classifier: Classifier, inputs: Tensor, targets: Sequence[int | None]
) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.float32]]]:
    """Run Grad-CAM on a batch.

    Args:
        classifier: a timm backbone with a head.
        inputs: float NCHW.
        targets: the class of each picture; None for the likeliest.

    Returns:
        Logits (N, C), and maps (N, h, w) whose maximum is 1, or 0 where nothing speaks for the
        class.

    Raises:
        ModelError: the network has no feature map to look at, or answers NaN.
    """
    training = {module: module.training for module in classifier.modules()}
    classifier.eval()
    try:
        logits, activation = _forward(classifier, inputs)
        _require_finite(logits)
        likeliest = logits.argmax(dim=1).tolist()
        chosen = [
            own if target is None else target
            for own, target in zip(likeliest, targets, strict=True)
        ]
        # A shift common to all logits changes no probability, so it must not change the map:
        # without the mean, nothing would speak for a class that wins with a negative logit.
        scores = logits[torch.arange(len(chosen)), chosen] - logits.mean(dim=1)
        # Pictures do not meet in a batch, so the sum's gradient is each picture's own.
        (gradient,) = torch.autograd.grad(scores.sum(), activation)
    finally:
        for module, mode in training.items():
            module.training = mode
    features = _as_nchw(classifier.backbone, activation.detach())
    weights = _as_nchw(classifier.backbone, gradient).mean(dim=(2, 3), keepdim=True)
    maps = (weights * features).sum(dim=1).relu()
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    maps = torch.where(peaks > 0, maps / peaks.clamp_min(torch.finfo(maps.dtype).tiny), maps)
    return logits.detach(), maps.float().cpu().numpy()


def _forward(classifier: Classifier, inputs: Tensor) -> tuple[Tensor, Tensor]:
    backbone: Any = classifier.backbone
    with torch.no_grad():
        features = backbone.forward_features(inputs)
    if not isinstance(features, Tensor) or features.ndim not in {3, 4}:
        raise ModelError(_no_map(classifier))
    if features.ndim == 4 or _last_attention_input(backbone) is None:
        activation = features.detach().requires_grad_()
        with torch.enable_grad():
            return classifier.head(backbone.forward_head(activation)), activation
    return _forward_from_last_attention(classifier, inputs)


def _forward_from_last_attention(classifier: Classifier, inputs: Tensor) -> tuple[Tensor, Tensor]:
    # After the last attention, patch tokens no longer reach the class token: their gradient is 0.
    captured: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        captured.append(output.detach().requires_grad_())
        return captured[-1]

    place = _last_attention_input(classifier.backbone)
    if place is None:
        raise ModelError(_no_map(classifier))
    handle = place.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            logits = classifier(inputs)
    finally:
        handle.remove()
    return logits, captured[-1]


def _last_attention_input(backbone: nn.Module) -> nn.Module | None:
    blocks = getattr(backbone, "blocks", None)
    if not isinstance(blocks, (nn.Sequential, nn.ModuleList)) or not len(blocks):
        return None
    norm = getattr(blocks[-1], "norm1", None)
    return norm if isinstance(norm, nn.Module) else None


def _as_nchw(backbone: Any, features: Tensor) -> Tensor:
    if features.ndim == 4:
        last = features.shape[1] != backbone.num_features == features.shape[3]
        return features.permute(0, 3, 1, 2) if last else features
    tokens = features.shape[1]
    grid = getattr(getattr(backbone, "patch_embed", None), "grid_size", None)
    if grid is None or grid[0] * grid[1] > tokens:
        side = math.isqrt(tokens)
        grid = (side, side)
    height, width = int(grid[0]), int(grid[1])
    prefix = tokens - height * width
    if prefix > 0 and prefix != getattr(backbone, "num_prefix_tokens", 0):
        raise ModelError(
            f"the {tokens} tokens of this network do not form a grid, so there is no map to draw: "
            "explain a convolutional network or a plain vision transformer"
        )
    patches = features[:, prefix:]
    return patches.transpose(1, 2).reshape(len(features), -1, height, width)


def _no_map(classifier: Classifier) -> str:
    return (
        f"{type(classifier.backbone).__name__} has no feature map to look at: "
        "explain a convolutional network or a plain vision transformer"
    )


def _require_finite(logits: Tensor) -> None:
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            "the model answers NaN or infinity: its weights are damaged; train again with a "
            "lower learning rate or --precision fp32"
        )
