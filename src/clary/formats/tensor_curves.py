"""Curves of what a tensor log holds: the losses by mode, and a statistic of any tensor.

Read by the command line, the SDK and the report, which draw them. Steps are those of all modes
together, so that training and validation share an axis.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from clary.errors import UsageError
from clary.formats.tensor_log import TensorLog
from clary.formats.tensor_log.entries import Mode, Statistics

LOSS = re.compile(r"[Ll]oss_(?!input).*output")
GRADIENT = "gradient/"
MODE_NAMES = {Mode.TRAIN: "train", Mode.EVAL: "valid", Mode.PREDICT: "predict"}


@dataclass(frozen=True)
class Curve:
    """Values of one tensor in one mode, by growing step; NaN and infinite ones are among them."""

    tensor: str
    mode: Mode
    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def label(self) -> str:
        """The mode as people call it."""
        return MODE_NAMES.get(self.mode, self.mode.name.lower())


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


UPDATE = "update"
# What can be asked of a tensor, by the word for it, and what the word means.
STATISTICS: Mapping[str, tuple[Callable[[Statistics], float | None], str]] = {
    "l2": (lambda s: s.l2, "l2 norm"),
    "l1": (lambda s: s.l1, "l1 norm"),
    "mean": (lambda s: s.mean, "mean"),
    "std": (lambda s: s.std, "standard deviation"),
    "min": (lambda s: s.min, "smallest value"),
    "max": (lambda s: s.max, "largest value"),
    "abs_mean": (lambda s: s.reduction("mean", absolute=True), "mean of the absolute values"),
    "abs_max": (lambda s: s.reduction("max", absolute=True), "largest absolute value"),
    "zeros": (lambda s: _ratio(s.zeros, s.size), "fraction of zeros"),
    "nans": (lambda s: s.nans, "NaN values"),
    "infs": (lambda s: s.infs, "infinite values"),
    UPDATE: (lambda s: _ratio(s.update_l2, s.l2), "change, as a fraction of the norm"),
}


def loss_names(log: TensorLog) -> tuple[str, ...]:
    """The losses of a log, the one with the most values first."""
    found = [
        name
        for name, known in log.names().items()
        if "losses" in known.collections or LOSS.search(name)
    ]
    return tuple(sorted(found, key=lambda name: -len(log.scalars(name))))


def scalar_curves(log: TensorLog, name: str) -> tuple[Curve, ...]:
    """A scalar's values, a curve for each mode; none where there are no such values."""
    return _by_mode(log, name, log.scalars(name).items())


def statistic_curves(log: TensorLog, name: str, statistic: str) -> tuple[Curve, ...]:
    """A statistic of a tensor, a curve for each mode; none where it was not measured.

    Raises:
        UsageError: there is no statistic of that name.
    """
    if statistic not in STATISTICS:
        raise UsageError(
            f"the statistic is {statistic!r} but must be one of {', '.join(STATISTICS)}"
        )
    read = STATISTICS[statistic][0]
    measured = ((step, read(row)) for step, row in log.statistics(name).items())
    return _by_mode(log, name, ((step, value) for step, value in measured if value is not None))


def tensor_names(log: TensorLog, wanted: str) -> tuple[str, ...]:
    """The tensors of a name, or whose names a regular expression matches from the start.

    Raises:
        UsageError: it is no regular expression.
    """
    names = tuple(log.names())
    if wanted in names:
        return (wanted,)
    pattern = name_pattern(wanted)
    return tuple(name for name in sorted(names, key=_in_order) if pattern.match(name))


def name_pattern(wanted: str) -> re.Pattern[str]:
    """The regular expression that names of tensors are matched by.

    Raises:
        UsageError: it is none.
    """
    try:
        return re.compile(wanted)
    except re.error as error:
        raise UsageError(f"{wanted!r} is no regular expression: {error}") from error


def _by_mode(log: TensorLog, name: str, points: Iterable[tuple[int, float]]) -> tuple[Curve, ...]:
    modes = {step.number: step.mode for step in log.steps()}
    held: dict[Mode, list[tuple[int, float]]] = {}
    for step, value in points:
        held.setdefault(modes.get(step, Mode.GLOBAL), []).append((step, float(value)))
    return tuple(Curve(name, mode, *zip(*sorted(held[mode]), strict=True)) for mode in sorted(held))


def _in_order(name: str) -> list[tuple[int, str]]:
    """Layer 2 before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
