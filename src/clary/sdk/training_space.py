"""What `clary tune` searches: ranges of training options, a person's own or those that fit.

A range is refused when training would refuse one of its values, so that no trial is started in
vain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from clary.errors import UsageError
from clary.formats.builtin_algorithm import starts_pretrained, trains_head_alone
from clary.formats.training_options import TrainingOptions
from clary.processor import require_native_precision
from clary.sdk.training_effects import require_effects, require_trainable
from clary.tuner.ranges import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Range,
    Space,
    parse_range,
)

# By optimizer, and by what learns: the head alone, a pretrained network, or one from scratch. The
# default rate of a training lies within.
_RATES = {
    "adam": {"head": (1e-4, 1e-1), "pretrained": (1e-5, 3e-3), "scratch": (1e-4, 1e-2)},
    "adamw": {"head": (1e-4, 1e-1), "pretrained": (1e-5, 3e-3), "scratch": (1e-4, 1e-2)},
    "sgd": {"head": (1e-3, 1.0), "pretrained": (1e-3, 1e-1), "scratch": (5e-3, 5e-1)},
}
# adamw decouples the decay from the gradient, and so needs more of it than a penalty on weights.
_WEIGHT_DECAYS = {"adam": (1e-6, 1e-2), "adamw": (1e-4, 0.3), "sgd": (1e-6, 1e-2)}
_MOMENTA = (0.8, 0.99)
_BATCH_SIZES = {"head": (16, 32, 64, 128), "pretrained": (16, 32, 64), "scratch": (32, 64, 128)}

_JUDGED_ON = "it decides on which pictures trials are judged, so that they could not be compared"
_NOT_TUNED = {
    "seed": _JUDGED_ON,
    "valid_fraction": _JUDGED_ON,
    "test_fraction": _JUDGED_ON,
    "group_by": _JUDGED_ON,
    "monitor": "it decides what trials are judged by: see --objective",
    "trust_pickle": "it decides whether code may run",
}
# An inner point: a range of numbers whose ends are whole holds others that are not.
_INSIDE = 0.381966
_CORNERS = 1024


def default_space(given: Mapping[str, Any], gpus: int) -> Space:
    """What is worth searching for: the learning rate, the weight decay, the batch size and, for
    sgd, the momentum; without what was given a value.

    Args:
        given: the options that all trials share.
        gpus: of this machine: they decide whether the whole network is trained.

    Raises:
        UsageError: all of these were given values, or training would refuse the others.
    """
    options = TrainingOptions.parse(given)
    learning = "scratch"
    if starts_pretrained(options):
        learning = "head" if trains_head_alone(options, gpus) else "pretrained"
    optimizer = options.optimizer
    ranges: list[Range] = [
        ContinuousRange("lr", *_RATES[optimizer][learning], "Logarithmic"),
        ContinuousRange("weight_decay", *_WEIGHT_DECAYS[optimizer], "Logarithmic"),
        CategoricalRange("batch_size", tuple(map(str, _BATCH_SIZES[learning]))),
    ]
    if optimizer == "sgd":
        ranges.insert(1, ContinuousRange("momentum", *_MOMENTA, "ReverseLogarithmic"))
    free = tuple(tuned for tuned in ranges if tuned.name not in given)
    if not free:
        names = ", ".join(tuned.name for tuned in ranges)
        raise UsageError(
            f"what would be tuned ({names}) has fixed values: leave one out, or name others by "
            "--space, such as --space dropout=0..0.5"
        )
    space = Space(free)
    require_trainable(space, given, gpus)
    return space


def default_grid(space: Space) -> Space:
    """The values of a space that a grid can try: three on each range, evenly on its scale."""
    return Space(tuple(_listed(tuned) for tuned in space.ranges))


def own_space(texts: Sequence[str], given: Mapping[str, Any], gpus: int) -> Space:
    """The ranges that a person has written, each of a training option.

    Args:
        texts: such as `lr=1e-4..1e-1:log` and `batch_size=32,64,128`.
        given: the options that all trials share.
        gpus: of this machine: they decide whether the whole network is trained.

    Raises:
        UsageError: a text is no range, an option is unknown, given a value as well, cannot be
            tuned or has no effect, or training would refuse a value of its range.
    """
    space = Space(tuple(_of_option(parse_range(text)) for text in texts))
    for tuned in space.ranges:
        _require_tunable(tuned, given)
        for value in _tried(tuned):
            _parse(tuned, {**given, tuned.name: value}, gpus)
    if 2 ** len(space.ranges) <= _CORNERS:
        for corner in itertools.product(*(_ends(tuned) for tuned in space.ranges)):
            TrainingOptions.parse({**given, **dict(zip(space.names, corner, strict=True))})
    require_trainable(space, given, gpus)
    require_effects(space, given, gpus)
    return space


def fit_batches(space: Space, pictures: int, *, own: bool) -> Space:
    """The space without batches larger than what there is to train on.

    Args:
        space: what is searched.
        pictures: those to train on.
        own: whether a person has written it, who is told rather than corrected.

    Raises:
        UsageError: a person's own range goes beyond; or nothing is left to tune.
    """
    kept: list[Range] = []
    for tuned in space.ranges:
        if tuned.name != "batch_size":
            kept.append(tuned)
            continue
        if own and _largest(tuned) > pictures:
            raise UsageError(
                f"the range of batch_size goes up to {_largest(tuned)}, but there are {pictures} "
                f"pictures to train on: give values up to {pictures}"
            )
        sizes = [] if own else [size for size in _numbers(tuned) if size <= pictures / 2]
        if own:
            kept.append(tuned)
        elif len(sizes) > 1:
            kept.append(CategoricalRange(tuned.name, tuple(map(str, sizes))))
    if not kept:
        raise UsageError(f"{pictures} pictures are too few to tune the batch size on: name others")
    return Space(tuple(kept))


def _of_option(tuned: Range) -> Range:
    """The range under its option's own name, and as numbers of the option's kind."""
    tuned = replace(tuned, name=tuned.name.lstrip("-").replace("-", "_"))
    field = TrainingOptions.model_fields.get(tuned.name)
    if (
        isinstance(tuned, IntegerRange)
        and field is not None
        and int not in _kinds(field.annotation)
    ):
        return ContinuousRange(tuned.name, tuned.low, tuned.high, tuned.scaling)
    return tuned


def _kinds(annotation: Any) -> set[Any]:
    parts = get_args(annotation)
    return {annotation} if not parts else set().union(*(_kinds(part) for part in parts))


def _require_tunable(tuned: Range, given: Mapping[str, Any]) -> None:
    name, option = tuned.name, f"--{tuned.name.replace('_', '-')}"
    if name in _NOT_TUNED:
        raise UsageError(f"{option} cannot be tuned: {_NOT_TUNED[name]}")
    if name in given:
        raise UsageError(
            f"{name} has the fixed value {given[name]} and a range: leave out {option}, or the "
            "range"
        )


def _parse(tuned: Range, values: Mapping[str, Any], gpus: int) -> None:
    try:
        options = TrainingOptions.parse(values)
        require_native_precision(options.precision, gpus)
    except UsageError as error:
        if tuned.name not in TrainingOptions.model_fields:
            raise
        raise UsageError(f"in the range of {tuned.name}, {error}") from error


def _tried(tuned: Range) -> Iterator[str]:
    yield from _ends(tuned)
    if isinstance(tuned, CategoricalRange):
        yield from tuned.values
    else:
        yield tuned.text(tuned.at(_INSIDE))


def _ends(tuned: Range) -> tuple[str, ...]:
    if isinstance(tuned, CategoricalRange):
        return tuned.values[0], tuned.values[-1]
    return tuned.text(tuned.low), tuned.text(tuned.high)


def _listed(tuned: Range) -> Range:
    if isinstance(tuned, CategoricalRange):
        return tuned
    values = dict.fromkeys(f"{float(tuned.at(place)):.2g}" for place in (1 / 6, 1 / 2, 5 / 6))
    return CategoricalRange(tuned.name, tuple(values))


def _numbers(tuned: Range) -> list[int]:
    if isinstance(tuned, CategoricalRange):
        return [int(value) for value in tuned.values]
    return [int(tuned.low), int(tuned.high)]


def _largest(tuned: Range) -> int:
    return max(_numbers(tuned))
