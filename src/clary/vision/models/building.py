"""Builds a classifier from a name, a source of weights and a class map."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from clary.errors import ModelError
from clary.formats.model_archive import Architecture, Stem
from clary.formats.preprocessing import Preprocessing
from clary.vision.models.architectures import (
    build_backbone,
    preprocessing_of,
    require_known,
    stem_for,
)
from clary.vision.models.classifier import Classifier, build_head, feature_count
from clary.vision.models.fitting import fit_weights
from clary.vision.models.pretrained import find_pretrained
from clary.vision.models.weight_files import file_digest, read_weights


@dataclass(frozen=True)
class WeightsReport:
    """Where the first weights come from.

    `source` is what a person calls them, `fingerprint` a hex digest of everything that the
    backbone's features depend on but the picture: the file's SHA-256 (or the seed), the
    architecture and its input size. `notes` are sentences that a person should see.
    """

    source: str
    fingerprint: str
    file_sha256: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Foundation:
    """A backbone with its weights, on which classifiers with heads of their own are built.

    `random_state` is that of the generator after the backbone's random weights were drawn: a head
    is drawn from there.
    """

    name: str
    stem: Stem
    backbone: nn.Module
    preprocessing: Preprocessing
    report: WeightsReport
    random_state: torch.Tensor

    def classifier(
        self, classes: Sequence[str], hidden: Sequence[int] = (), dropout: float = 0.0
    ) -> tuple[Classifier, Preprocessing, WeightsReport]:
        """A classifier over this very backbone, with a new head; see `build_classifier`.

        Raises:
            ModelError: there are fewer than two classes.
        """
        _require_classes(classes)
        with drawing() as generator:
            generator.set_state(self.random_state)
            head = build_head(feature_count(self.backbone), len(classes), hidden, dropout)
        architecture = Architecture(
            name=self.name, hidden=tuple(hidden), dropout=dropout, stem=self.stem
        )
        return Classifier(self.backbone, head, architecture), self.preprocessing, self.report


def build_classifier(
    name: str,
    classes: Sequence[str],
    *,
    weights: str | Path = "pretrained",
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    image_size: int | None = None,
    trust_pickle: bool = False,
    seed: int = 0,
) -> tuple[Classifier, Preprocessing, WeightsReport]:
    """A network with a new head, the preprocessing it wants, and where its weights come from.

    Args:
        name: a timm name, such as `resnet50` or `resnet50.tv_in1k`.
        classes: at least two names.
        weights: "pretrained", "none", or a file.
        hidden: widths of up to two hidden layers of the head.
        dropout: before each layer of the head, 0…1.
        image_size: side of the input in pixels; None is the network's own.
        trust_pickle: load pickled objects too, which runs whatever code the file holds.
        seed: of the random weights; the global random state is left as it was.

    Raises:
        ModelError: the name is unknown, the weights don't fit or can't be had, or the network
            can't take pictures of this size.
    """
    _require_classes(classes)
    foundation = lay_foundation(
        name, weights=weights, image_size=image_size, trust_pickle=trust_pickle, seed=seed
    )
    return foundation.classifier(classes, hidden, dropout)


def lay_foundation(
    name: str,
    *,
    weights: str | Path = "pretrained",
    image_size: int | None = None,
    trust_pickle: bool = False,
    seed: int = 0,
) -> Foundation:
    """The backbone of classifiers; for the arguments see `build_classifier`.

    Raises:
        ModelError: the name is unknown, the weights don't fit or can't be had, or the network
            can't take pictures of this size.
    """
    require_known(name)
    preprocessing = preprocessing_of(name, image_size)
    size = preprocessing.image_size
    stem: Stem = stem_for(name, size) if weights == "none" else "standard"
    with drawing() as generator:
        generator.manual_seed(seed)
        backbone = build_backbone(name, size, stem)
        random_state = generator.get_state()
    found, report = _load(
        name, backbone, weights, size=size, trust_pickle=trust_pickle, seed=seed, stem=stem
    )
    return Foundation(name, stem, backbone, found or preprocessing, report, random_state)


@contextmanager
def drawing() -> Iterator[torch.Generator]:
    """Give torch's generator of random weights, and put its state back afterwards."""
    generator = torch.default_generator
    state = generator.get_state()
    try:
        yield generator
    finally:
        generator.set_state(state)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw random weights from a seed, and leave torch's random state as it was."""
    with drawing() as generator:
        generator.manual_seed(seed)
        yield


def _require_classes(classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise ModelError(f"a classifier needs at least 2 classes but got {len(classes)}: name more")


def fingerprint_of(*parts: object) -> str:
    """A hex digest over what decides a backbone's features."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()


def _load(
    name: str,
    backbone: nn.Module,
    weights: str | Path,
    *,
    size: int,
    trust_pickle: bool,
    seed: int,
    stem: Stem,
) -> tuple[Preprocessing | None, WeightsReport]:
    if weights == "none":
        notes = ("a 3×3 stem without pooling is used for small pictures",) * (stem == "small")
        mark = fingerprint_of("random", seed, torch.__version__, name, size, stem)
        return None, WeightsReport("random", mark, None, notes)
    if weights == "pretrained":
        found = find_pretrained(name, size)
        path, source, notes = found.path, found.source, found.notes
        preprocessing = found.preprocessing
    else:
        path, source, notes = Path(weights).expanduser(), str(weights), ()
        preprocessing = None
    state = read_weights(path, trust_pickle=trust_pickle)
    fitted = fit_weights(name, backbone, state, size, source)
    digest = file_digest(path)
    mark = fingerprint_of(digest, name, size)
    report = WeightsReport(source, mark, digest, (*notes, *fitted.notes))
    return preprocessing or fitted.preprocessing, report
