"""From options to a plan: what `auto` means for this data on this machine.

Everything that Clary decides by itself is decided here, and said in a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from clary.formats.builtin_algorithm import require_combinable, starts_pretrained
from clary.formats.training_options import TrainingOptions, nothing_to_judge_by
from clary.vision.datasets import PictureDataset
from clary.vision.decoding import default_workers
from clary.vision.hardware import Hardware
from clary.vision.optimizers import default_learning_rate

IMBALANCE_FOR_WEIGHTS = 1.5


@dataclass(frozen=True)
class Plan:
    """What will be done.

    `options` has every `auto` and None resolved. `loss_weights` is the weight of each class in
    the loss, `picture_weights` the chance of each training picture to be drawn; both None where
    classes count alike.
    """

    options: TrainingOptions
    learning_rate: float
    trainable_layers: int | Literal["all"]
    workers: int
    loss_weights: tuple[float, ...] | None
    picture_weights: npt.NDArray[np.float64] | None
    notes: tuple[str, ...]

    @property
    def frozen(self) -> bool:
        """Whether only the head learns."""
        return self.trainable_layers == 0

    @property
    def uses_features(self) -> bool:
        """Whether the head is trained on features that are computed once."""
        return self.frozen and self.options.feature_cache


def make_plan(
    options: TrainingOptions, dataset: PictureDataset, hardware: Hardware, world_size: int = 1
) -> Plan:
    """Resolve the options for a data set and a machine.

    Args:
        options: as the user gave them.
        dataset: its class counts and sizes decide balance and batch size.
        hardware: where the training runs.
        world_size: processes that train together; `batch_size` is that of each.

    Raises:
        UsageError: options that cannot be combined.
    """
    notes: list[str] = []
    if "valid" not in dataset.splits:
        raise nothing_to_judge_by(options)
    pretrained = starts_pretrained(options)
    layers = _trainable_layers(options, hardware, pretrained, notes)
    frozen = layers == 0
    require_combinable(options, frozen=frozen)
    _note_what_has_no_effect(options, frozen, notes)
    batch_size = _batch_size(options, len(dataset.train), world_size, notes)
    loss_weights, picture_weights = _balance(options, dataset, notes)
    rate = options.lr or default_learning_rate(options, frozen=frozen, pretrained=pretrained)
    return Plan(
        options=options.model_copy(
            update={"batch_size": batch_size, "trainable_layers": layers, "lr": rate}
        ),
        learning_rate=rate,
        trainable_layers=layers,
        workers=options.workers or default_workers(),
        loss_weights=loss_weights,
        picture_weights=picture_weights,
        notes=tuple(notes),
    )


def _trainable_layers(
    options: TrainingOptions, hardware: Hardware, pretrained: bool, notes: list[str]
) -> int | Literal["all"]:
    if options.trainable_layers != "auto":
        return options.trainable_layers
    if pretrained and hardware.device.type == "cpu":
        notes.append(
            "the backbone stays frozen and only the head learns, which is quick on a CPU; "
            "--trainable-layers all fine-tunes everything"
        )
        return 0
    return "all"


def _note_what_has_no_effect(options: TrainingOptions, frozen: bool, notes: list[str]) -> None:
    """Options that were asked for and that this training cannot follow."""
    given = options.model_fields_set
    if frozen:
        if options.views == 1 and "augmentation" in given and options.augmentation != "none":
            notes.append(
                f"--augmentation {options.augmentation} has no effect on one view of a frozen "
                "backbone: give --views 2 or more"
            )
        notes.extend(
            f"--{name.replace('_', '-')} has no effect while the whole backbone is frozen"
            for name in ("layer_decay", "freeze_epochs")
            if name in given
            and getattr(options, name) != TrainingOptions.model_fields[name].default
        )
        if options.views > 1 and options.augmentation == "none":
            notes.append("with --augmentation none all views are the same: one would do")
    elif options.views > 1:
        notes.append(
            "--views has no effect unless the backbone is frozen: every epoch sees new views"
        )


def _batch_size(options: TrainingOptions, pictures: int, world_size: int, notes: list[str]) -> int:
    share = max(1, pictures // world_size)
    if options.batch_size <= share:
        return options.batch_size
    notes.append(
        f"the batch is {share} pictures instead of {options.batch_size}, "
        "for there are no more to train on"
    )
    return share


def _balance(
    options: TrainingOptions, dataset: PictureDataset, notes: list[str]
) -> tuple[tuple[float, ...] | None, npt.NDArray[np.float64] | None]:
    counts: Sequence[int] = dataset.class_counts("train").tolist()
    present = [count for count in counts if count]
    ratio = max(present) / min(present)
    choice = options.class_balance
    if choice == "auto":
        if ratio <= IMBALANCE_FOR_WEIGHTS:
            return None, None
        choice = "loss"
        notes.append(
            f"the largest class has {ratio:.1f} times the pictures of the smallest, so the loss "
            "weighs classes to count alike; --class-balance off leaves them as they are"
        )
    if choice == "off":
        return None, None
    per_class = [sum(present) / (len(present) * count) if count else 0.0 for count in counts]
    if choice == "loss":
        return tuple(per_class), None
    return None, np.asarray(per_class, dtype=np.float64)[dataset.train.labels]
