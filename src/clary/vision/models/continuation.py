"""Goes on from an earlier Clary model, with its classes or others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from clary.errors import ModelError
from clary.formats.model_archive import Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.vision.models.architectures import build_backbone
from clary.vision.models.building import WeightsReport, fingerprint_of, seeded
from clary.vision.models.classifier import Classifier, build_head, feature_count
from clary.vision.models.storage import load_model


@dataclass(frozen=True)
class EarlierModel:
    """A Clary model to go on from, its backbone at the size of the new training's pictures."""

    weight_path: Path
    description: ModelDescription
    backbone: nn.Module
    head: nn.Sequential
    preprocessing: Preprocessing
    fingerprint: str

    @classmethod
    def load(cls, weight_path: Path, image_size: int | None = None) -> EarlierModel:
        """Read a model; for the arguments see `load_for_continuation`.

        Raises:
            FormatError: the model is missing, damaged, or of a later version.
            ModelError: the network cannot take pictures of this size.
        """
        earlier, description = load_model(weight_path)
        before = description.architecture
        preprocessing = _resized(description.preprocessing, image_size)
        backbone = earlier.backbone
        if preprocessing.image_size != description.preprocessing.image_size:
            backbone = _moved_to(preprocessing.image_size, before, backbone)
        mark = fingerprint_of(_digest(backbone), before.name, preprocessing.image_size)
        return cls(weight_path, description, backbone, earlier.head, preprocessing, mark)

    def continued(
        self,
        classes: Sequence[str],
        *,
        hidden: Sequence[int] | None = None,
        dropout: float | None = None,
        seed: int = 0,
    ) -> tuple[Classifier, Preprocessing, WeightsReport]:
        """A classifier over this very backbone; see `load_for_continuation`.

        Raises:
            ModelError: there are fewer than two classes.
        """
        if len(classes) < 2:
            raise ModelError(
                f"a classifier needs at least 2 classes but got {len(classes)}: name more"
            )
        description, before = self.description, self.description.architecture
        wide = before.hidden if hidden is None else tuple(hidden)
        rate = before.dropout if dropout is None else dropout
        with seeded(seed):
            head = build_head(feature_count(self.backbone), len(classes), wide, rate)
        if sorted(classes) == sorted(description.classes) and wide == before.hidden:
            _copy_linear(self.head, head, [description.classes.index(name) for name in classes])
            kept = f" with its {len(classes)} classes: the head is kept"
        else:
            reason = (
                f"{len(classes)} classes for {len(description.classes)}"
                if len(classes) != len(description.classes)
                else "other hidden layers"
                if sorted(classes) == sorted(description.classes)
                else "other classes"
            )
            kept = f": the backbone is kept, the head is new ({reason})"
        note = f"goes on from {self.weight_path}{kept}"
        architecture = Architecture(name=before.name, hidden=wide, dropout=rate, stem=before.stem)
        report = WeightsReport(str(self.weight_path), self.fingerprint, None, (note,))
        return Classifier(self.backbone, head, architecture), self.preprocessing, report


def load_for_continuation(
    weight_path: Path,
    classes: Sequence[str],
    *,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> tuple[Classifier, Preprocessing, WeightsReport]:
    """An earlier model, its head kept when the classes are the same and a new one otherwise.

    Args:
        weight_path: a model folder or a `model.tar.gz`.
        classes: of the new training; the same names in another order keep the head too, its
            rows moved.
        hidden: widths of the head's hidden layers; None keeps the earlier ones. Other widths
            than the earlier ones mean a new head.
        dropout: of the head, 0…1; None keeps the earlier one.
        image_size: side of the input in pixels; None keeps the earlier one.
        seed: of a new head's random weights.

    Raises:
        FormatError: the model is missing, damaged, or of a later version.
        ModelError: the network cannot take pictures of this size, or there are fewer than two
            classes.
    """
    earlier = EarlierModel.load(weight_path, image_size)
    return earlier.continued(classes, hidden=hidden, dropout=dropout, seed=seed)


def _resized(preprocessing: Preprocessing, image_size: int | None) -> Preprocessing:
    if image_size is None or image_size == preprocessing.image_size:
        return preprocessing
    ratio = preprocessing.resize_size / preprocessing.image_size
    return preprocessing.model_copy(
        update={"image_size": image_size, "resize_size": round(image_size * ratio)}
    )


def _moved_to(image_size: int, before: Architecture, backbone: nn.Module) -> nn.Module:
    moved = build_backbone(before.name, image_size, before.stem)
    try:
        moved.load_state_dict(backbone.state_dict())
    except RuntimeError as error:
        raise ModelError(
            f"{before.name} has weights that belong to its input size, so that it cannot go on "
            f"at {image_size} px: leave --image-size away"
        ) from error
    return moved


def _copy_linear(source: nn.Sequential, target: nn.Sequential, order: list[int]) -> None:
    pairs = list(zip(_linear(source), _linear(target), strict=True))
    with torch.no_grad():
        for number, (old, new) in enumerate(pairs):
            last = number == len(pairs) - 1
            new.weight.copy_(old.weight[order] if last else old.weight)
            new.bias.copy_(old.bias[order] if last else old.bias)


def _linear(head: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in head if isinstance(layer, nn.Linear)]


def _digest(backbone: nn.Module) -> str:
    import hashlib

    digest = hashlib.sha256()
    for name, value in backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
