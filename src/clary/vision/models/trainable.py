"""Which parameters learn, and how fast each of them does."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from clary.errors import UsageError
from clary.vision.models.classifier import Classifier


def set_trainable(classifier: Classifier, layers: int | Literal["all"]) -> None:
    """Let the head and the last `layers` stages of the backbone learn; freeze the rest.

    Call `classifier.train()` afterwards, so that frozen parts go to eval mode.

    Args:
        classifier: changed in place.
        layers: 0 freezes the backbone, "all" frees it; a number over the number of stages
            frees it too.

    Raises:
        UsageError: `layers` is negative.
    """
    stages = classifier.stages()
    if layers != "all" and layers < 0:
        raise UsageError(
            f"--trainable-layers is {layers}: give 0 (frozen backbone) to {len(stages)}, or all"
        )
    frozen = 0 if layers == "all" else max(0, len(stages) - layers)
    for number, stage in enumerate(stages):
        for _, parameter in stage:
            parameter.requires_grad_(number >= frozen)
    for parameter in classifier.head.parameters():
        parameter.requires_grad_(True)


def parameter_groups(
    classifier: Classifier, lr: float, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer over the parameters that learn now.

    The head learns at `lr`, the last stage at `lr × layer_decay`, the one before it at
    `lr × layer_decay²`, and so on. Biases, norm parameters and what timm's
    `no_weight_decay` names have no weight decay (He et al., "Bag of tricks", 2019).

    Args:
        classifier: whose `requires_grad` flags are set already.
        lr: learning rate of the head.
        weight_decay: of the weights of convolutions and linear layers.
        layer_decay: factor from a stage to the one before it, in (0, 1].

    Returns:
        Dicts with `params`, `lr`, `weight_decay`, `name` and `lr_scale`, input to output.
    """
    spared = _without_decay(classifier.backbone)
    head = [(f"head.{name}", value) for name, value in classifier.head.named_parameters()]
    parts = [*classifier.stages(), head]
    groups: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        scale = layer_decay ** (len(parts) - 1 - number)
        where = "head" if number == len(parts) - 1 else f"stage{number}"
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, value in part:
            if value.requires_grad:
                (plain if value.ndim <= 1 or name in spared else decayed).append(value)
        for suffix, params, decay in (("", decayed, weight_decay), (".plain", plain, 0.0)):
            if params:
                groups.append(
                    {
                        "params": params,
                        "lr": lr * scale,
                        "weight_decay": decay,
                        "name": where + suffix,
                        "lr_scale": scale,
                    }
                )
    return groups


def _without_decay(backbone: nn.Module) -> set[str]:
    names = getattr(backbone, "no_weight_decay", None)
    return {f"backbone.{name}" for name in names()} if callable(names) else set()
