"""The network that is trained: a timm backbone, then a head of dropout and linear layers.

Parameter names are a format (`formats/model_archive`): `backbone.<timm's name>` and `head.<n>.…`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clary.errors import ModelError
from clary.formats.model_archive import Architecture

NamedParameters = list[tuple[str, nn.Parameter]]


class Classifier(nn.Module):
    """A backbone from pictures to features and a head from features to logits.

    In training mode every part of the backbone whose parameters are all frozen stays in eval
    mode: its BatchNorm statistics don't drift and its dropout is off.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Sequential, architecture: Architecture
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.architecture = architecture

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (N, classes) of normalised pictures (N, 3, S, S)."""
        return self.forward_head(self.forward_features(images_nchw))

    def forward_features(self, images_nchw: Tensor) -> Tensor:
        """Pooled features (N, D) of normalised pictures (N, 3, S, S)."""
        features: Tensor = self.backbone(images_nchw)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits (N, classes) of pooled features (N, D)."""
        logits: Tensor = self.head(features)
        return logits

    @property
    def feature_count(self) -> int:
        """The width D of the pooled features."""
        return feature_count(self.backbone)

    @property
    def class_count(self) -> int:
        """How many classes the head tells apart."""
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        return last.out_features

    def train(self, mode: bool = True) -> Classifier:
        """Set the mode, keeping wholly frozen parts of the backbone in eval mode."""
        super().train(mode)
        if mode:
            _rest_frozen_parts(self.backbone)
        return self

    def stages(self) -> list[NamedParameters]:
        """The backbone's parameters by coarse stage, from input to output, as (name, parameter).

        The stages are timm's (`group_matcher(coarse=True)`); one that holds nothing but
        norm parameters, such as a final LayerNorm, counts with the stage before it.
        """
        from timm.models._manipulate import group_with_matcher

        parameters = dict(self.backbone.named_parameters())
        matcher = getattr(self.backbone, "group_matcher", None)
        if matcher is None:
            return [[(f"backbone.{name}", value) for name, value in parameters.items()]]
        grouped = group_with_matcher(self.backbone.named_parameters(), matcher(coarse=True))
        stages: list[NamedParameters] = []
        for names in grouped.values():
            stage = [(f"backbone.{name}", parameters[name]) for name in names]
            if stages and all(value.ndim <= 1 for _, value in stage):
                stages[-1].extend(stage)
            elif stage:
                stages.append(stage)
        return stages


def build_head(
    in_features: int, classes: int, hidden: Sequence[int] = (), dropout: float = 0.0
) -> nn.Sequential:
    """Dropout, Linear and ReLU for each hidden width, then dropout and the last Linear.

    Dropout layers are there only when `dropout` (0…1) is over 0.
    """
    layers: list[nn.Module] = []
    width = in_features
    for wide in hidden:
        layers += [*_dropout(dropout), nn.Linear(width, wide), nn.ReLU()]
        width = wide
    layers += [*_dropout(dropout), nn.Linear(width, classes)]
    return nn.Sequential(*layers)


def feature_count(backbone: nn.Module) -> int:
    """The width of what a timm model without its classifier returns.

    Raises:
        ModelError: the model does not say.
    """
    width = getattr(backbone, "head_hidden_size", None) or getattr(backbone, "num_features", None)
    if not isinstance(width, int):
        raise ModelError(
            f"{type(backbone).__name__} does not say how many features it gives: "
            "choose another architecture"
        )
    return width


def device_of(classifier: nn.Module) -> torch.device:
    """The device that holds the parameters."""
    return next(classifier.parameters()).device


def _dropout(rate: float) -> list[nn.Module]:
    return [nn.Dropout(rate)] if rate > 0 else []


def _rest_frozen_parts(module: nn.Module) -> None:
    learns = [parameter.requires_grad for parameter in module.parameters()]
    if learns and not any(learns):
        module.eval()
        return
    if learns and not all(learns):
        for child in module.children():
            _rest_frozen_parts(child)
