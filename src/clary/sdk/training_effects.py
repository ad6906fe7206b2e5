"""What trials could not be trained with, and what it would be in vain to search.

Training says the same of its own options; here it is said once, before any trial is started.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clary.errors import UsageError
from clary.formats.builtin_algorithm import require_combinable, trains_head_alone
from clary.formats.training_options import TrainingOptions
from clary.tuner.ranges import CategoricalRange, Range, Space

# The options that decide whether another one has an effect, or can be had at all.
_DECIDING = (
    "weights",
    "weight_path",
    "trainable_layers",
    "feature_cache",
    "views",
    "mixup",
    "cutmix",
    "optimizer",
    "schedule",
)
_COMBINATIONS = 4096


@dataclass(frozen=True)
class _Need:
    """What an option has an effect with: a test, the words where it has none, and what helps."""

    met: Callable[[TrainingOptions, int], bool]
    without: str
    remedy: str


def _chosen(name: str, *values: str) -> _Need:
    return _Need(
        lambda options, _gpus: getattr(options, name) in values,
        f"with --{name} {{{name}}}",
        f"--{name} {values[0]}",
    )


def _uses_features(options: TrainingOptions, gpus: int) -> bool:
    return trains_head_alone(options, gpus) and options.feature_cache


_LEARNING_BACKBONE = _Need(
    lambda options, gpus: not trains_head_alone(options, gpus),
    "while the whole backbone is frozen",
    "--trainable-layers all",
)
_NEEDS = {
    "momentum": _chosen("optimizer", "sgd"),
    "eps": _chosen("optimizer", "adamw", "adam"),
    "beta1": _chosen("optimizer", "adamw", "adam"),
    "beta2": _chosen("optimizer", "adamw", "adam"),
    "warmup_epochs": _chosen("schedule", "cosine"),
    "step_epochs": _chosen("schedule", "step"),
    "step_gamma": _chosen("schedule", "step"),
    "layer_decay": _LEARNING_BACKBONE,
    "freeze_epochs": _LEARNING_BACKBONE,
    "views": _Need(trains_head_alone, "unless the backbone is frozen", "--trainable-layers 0"),
    "augmentation": _Need(
        lambda options, gpus: options.views > 1 or not _uses_features(options, gpus),
        "on one view of a frozen backbone",
        "--views 2 or more",
    ),
}


def require_effects(space: Space, given: Mapping[str, Any], gpus: int) -> None:
    """Check that each range makes a difference with some values of the others.

    Args:
        space: what is searched.
        given: the options that all trials share.
        gpus: of this machine: they decide whether the whole network is trained.

    Raises:
        UsageError: one makes none.
    """
    for tuned in space.ranges:
        need = _NEEDS.get(tuned.name)
        if need is None:
            continue
        if not any(need.met(options, gpus) for options in _combinations(space, given)):
            shared = TrainingOptions.parse(given).model_dump()
            raise UsageError(
                f"{tuned.name} has no effect {need.without.format(**shared)}: give "
                f"{need.remedy}, or leave its range out"
            )


def require_trainable(space: Space, given: Mapping[str, Any], gpus: int) -> None:
    """Check that training takes every combination of the options that exclude each other.

    Args:
        space: what is searched.
        given: the options that all trials share.
        gpus: of this machine: they decide whether the whole network is trained.

    Raises:
        UsageError: it would refuse one.
    """
    for options in _combinations(space, given):
        require_combinable(options, frozen=trains_head_alone(options, gpus))


def _combinations(space: Space, given: Mapping[str, Any]) -> Iterator[TrainingOptions]:
    """The options of trials, as far as what decides about others differs."""
    deciding = [tuned for tuned in space.ranges if tuned.name in _DECIDING]
    combinations = itertools.product(*(_values(tuned) for tuned in deciding))
    for values in itertools.islice(combinations, _COMBINATIONS):
        chosen = dict(zip((tuned.name for tuned in deciding), values, strict=True))
        yield TrainingOptions.parse({**given, **chosen})


def _values(tuned: Range) -> tuple[str, ...]:
    if isinstance(tuned, CategoricalRange):
        return tuned.values
    return tuned.text(tuned.low), tuned.text(tuned.high)
