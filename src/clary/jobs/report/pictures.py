"""The pictures on the page: the worst mistakes with heat maps, and what the network saw.

Loads torch. What cannot be shown, because the data moved or the model is gone, is said.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from clary.errors import ClaryError, DataError
from clary.formats.evaluation import Mistake
from clary.formats.text import counted, valid_text
from clary.formats.training_options import TrainingOptions
from clary.jobs.pages.wording import readable
from clary.jobs.report.material import Material
from clary.settings import Settings
from clary.vision.datasets.dataset import PictureDataset, Split
from clary.vision.heat_maps import Box

Pixels = npt.NDArray[np.uint8]

MOST_MISTAKES = 24
MOST_BYTES = 25_000
THUMBNAIL_SIDE = 300
SAMPLED_PICTURES = 6
VIEWS = 4
BATCH = 8


@dataclass(frozen=True)
class Thumbnail:
    """An embedded JPEG with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class MistakeCard:
    """A picture that was taken for another class; `heat` speaks for the class it was taken for.

    `flat` says that no place does.
    """

    picture: Thumbnail
    heat: Thumbnail
    name: str
    true: str
    predicted: str
    probability: float
    true_probability: float
    loss: float
    flat: bool


@dataclass(frozen=True)
class Sample:
    """A training picture and the views of it that the network learned from."""

    label: str
    name: str
    original: Thumbnail
    views: tuple[Thumbnail, ...]


@dataclass(frozen=True)
class Gallery:
    """All pictures of the page; each `…_note` is a sentence about what is or is not shown."""

    mistakes: tuple[MistakeCard, ...] = ()
    mistakes_note: str = ""
    samples: tuple[Sample, ...] = ()
    samples_note: str = ""
    samples_missing: str = field(default="")


def draw_gallery(material: Material, dataset: PictureDataset | None, settings: Settings) -> Gallery:
    """Draw the pictures; never raises for what is missing, but says so."""
    try:
        opened = dataset if dataset is not None else _open(material, settings)
    except ClaryError as error:
        sentence = f"The pictures cannot be shown: {error}"
        return Gallery(mistakes_note=sentence, samples_missing=sentence)
    try:
        cards, note = _mistakes(material, opened)
    except ClaryError as error:
        cards, note = (), f"The mistakes cannot be shown: {error}"
    try:
        samples, samples_note = _samples(material, opened)
        return Gallery(cards, note, samples, samples_note)
    except ClaryError as error:
        missing = f"What the network saw cannot be shown: {error}"
        return Gallery(cards, note, samples_missing=missing)


def thumbnail(pixels: Pixels, side: int = THUMBNAIL_SIDE) -> Thumbnail:
    """A JPEG of at most 25,000 bytes whose longer side is at most `side` pixels."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if max(picture.size) < side // 2:
        factor = side // 2 // max(picture.size)
        picture = picture.resize(
            (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
        )
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    encoded = b""
    for quality in (82, 70, 55, 40, 25):
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=quality, optimize=True)
        encoded = buffer.getvalue()
        if len(encoded) <= MOST_BYTES:
            break
    uri = "data:image/jpeg;base64," + base64.b64encode(encoded).decode()
    return Thumbnail(uri, picture.width, picture.height)


def _open(material: Material, settings: Settings) -> PictureDataset:
    from clary.vision.datasets import open_dataset

    options = material.options or TrainingOptions.parse({})
    return open_dataset(
        material.directory.location(),
        settings=settings,
        seed=options.seed,
        valid_fraction=options.valid_fraction,
        test_fraction=options.test_fraction,
        group_by=options.group_by,
    )


def _mistakes(material: Material, dataset: PictureDataset) -> tuple[tuple[MistakeCard, ...], str]:
    evaluation, description = material.evaluation, material.description
    if evaluation is None or description is None or material.split is None:
        raise DataError("the run has no evaluation or no model yet")
    wrong = [m for m in evaluation.top_losses if m.true != m.predicted]
    chosen = wrong[:MOST_MISTAKES]
    note = ""
    if not wrong:
        chosen = list(evaluation.top_losses[:8])
        note = "There are no mistakes. These are the right answers that it was least sure of."
    elif evaluation.pictures - evaluation.right > len(chosen):
        total = counted(evaluation.pictures - evaluation.right, "mistake")
        note = f"The {len(chosen)} with the highest loss, of {total}."
    split = dataset.splits.get(material.split)
    _require_same(split, chosen, material.split)
    assert split is not None
    return tuple(_cards(material, dataset, split, chosen)), note


def _require_same(split: Split | None, mistakes: Sequence[Mistake], name: str) -> None:
    if split is not None and all(
        mistake.index < len(split) and valid_text(split.source.name(mistake.index)) == mistake.name
        for mistake in mistakes
    ):
        return
    raise DataError(f"the {name} pictures are not the ones that the model was judged on")


def _cards(
    material: Material, dataset: PictureDataset, split: Split, mistakes: Sequence[Mistake]
) -> list[MistakeCard]:
    from clary.vision.explain import explain_all
    from clary.vision.geometry import EvaluationTransform
    from clary.vision.loaders import PictureReader
    from clary.vision.models import load_model

    classifier, description = load_model(material.directory.model)
    transform = EvaluationTransform(description.preprocessing)
    read = PictureReader(split.source, min_side=transform.min_side)
    cards: list[MistakeCard] = []
    for start in range(0, len(mistakes), BATCH):
        part = mistakes[start : start + BATCH]
        pictures = [read(mistake.index) for mistake in part]
        explained = explain_all(
            classifier, description, pictures, [mistake.predicted for mistake in part]
        )
        for mistake, explanation in zip(part, explained, strict=True):
            shown = _window(explanation.picture.shape[:2], explanation.seen)
            cards.append(
                MistakeCard(
                    picture=thumbnail(explanation.picture[shown.rows, shown.columns]),
                    heat=thumbnail(explanation.overlay()[shown.rows, shown.columns]),
                    name=_within(dataset, mistake.name),
                    true=readable(description.classes[mistake.true]),
                    predicted=readable(description.classes[mistake.predicted]),
                    probability=mistake.probability,
                    true_probability=mistake.true_probability,
                    loss=mistake.loss,
                    flat=not explanation.heat.any(),
                )
            )
    return cards


def _within(dataset: PictureDataset, name: str) -> str:
    """A picture's name without the folder that all of them lie in."""
    if dataset.location is None:
        return valid_text(name)
    return valid_text(name).removeprefix(valid_text(f"{dataset.location}{os.sep}"))


def _window(shape: tuple[int, ...], seen: Box) -> Box:
    """The part to show: all of the picture, or of a panorama what lies around the seen square."""
    height, width = shape[0], shape[1]
    side = min(height, width)
    extra = round(side / 4)
    return Box(
        max(seen.left - extra, 0),
        max(seen.top - extra, 0),
        min(seen.right + extra, width),
        min(seen.bottom + extra, height),
    )


def _samples(material: Material, dataset: PictureDataset) -> tuple[tuple[Sample, ...], str]:
    from clary.vision.geometry import EvaluationTransform
    from clary.vision.loaders import PictureReader
    from clary.vision.transforms import TrainingTransform, augmentation_rng, transform_for_view

    description, options = material.description, material.options
    if description is None or options is None:
        raise DataError("the run has no model yet")
    preprocessing = description.preprocessing
    train = dataset.train
    on_features = material.record.frozen and options.feature_cache
    read = PictureReader(train.source, min_side=EvaluationTransform(preprocessing).min_side)
    turns = list(range(min(options.views, VIEWS))) if on_features else list(range(1, VIEWS + 1))
    samples = []
    for index in _spread(train.labels):
        picture = read(index)
        views = []
        for turn in turns:
            transform = (
                transform_for_view(preprocessing, options.augmentation, turn)
                if on_features
                else TrainingTransform(preprocessing, options.augmentation)
            )
            rng = augmentation_rng(options.seed, turn, index)
            views.append(thumbnail(transform(picture, rng), 180))
        samples.append(
            Sample(
                label=readable(description.classes[int(train.labels[index])]),
                name=_within(dataset, train.source.name(index)),
                original=thumbnail(picture, 180),
                views=tuple(views),
            )
        )
    return tuple(samples), _samples_note(options, on_features)


def _spread(labels: npt.NDArray[np.int64]) -> list[int]:
    """Pictures of different classes, spread over them; the first of each."""
    present, first = np.unique(labels, return_index=True)
    if len(present) >= SAMPLED_PICTURES:
        chosen = np.linspace(0, len(present) - 1, SAMPLED_PICTURES).round().astype(int)
        return [int(index) for index in first[chosen]]
    return [int(k) for k in np.linspace(0, len(labels) - 1, min(SAMPLED_PICTURES, len(labels)))]


def _samples_note(options: TrainingOptions, on_features: bool) -> str:
    if on_features and options.views == 1:
        return (
            "The frozen backbone saw each picture once and unchanged, and its features were kept. "
            "More --views would vary them."
        )
    if on_features:
        return (
            f"The frozen backbone saw {options.views} views of each picture, the first one "
            f"unchanged, the others by the policy “{options.augmentation}”."
        )
    mixed = [name for name in ("mixup", "cutmix") if getattr(options, name)]
    blended = (
        f" {' and '.join(mixed).capitalize()} then blended pictures, not shown." if mixed else ""
    )
    if options.augmentation == "none":
        return f"Every epoch saw the pictures unchanged.{blended}"
    return (
        f"Each epoch saw another view, by the policy “{options.augmentation}”: "
        f"here those of the first {VIEWS} epochs.{blended}"
    )
