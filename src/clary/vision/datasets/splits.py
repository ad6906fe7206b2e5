"""Cutting splits: stratified by class, by group where there are groups, the same for a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from clary.errors import DataError, UsageError
from clary.vision.datasets.dataset import Labels


def cut_splits(
    labels: Labels,
    fractions: Mapping[str, float],
    seed: int,
    groups: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> dict[str, Labels]:
    """Divide pictures into `train` and the splits named in `fractions`.

    Without groups each class is divided by itself, to the nearest picture; every class keeps a
    training picture and, with 2 pictures or more, gives one to the first split. With groups no
    group comes apart and the classes are divided as evenly as the groups allow.

    Args:
        labels: the class of each picture, shape (pictures,), 0 or more.
        fractions: the share of each further split, more than 0; together less than 1.
        seed: 0 or more.
        groups: the group of each picture.
        class_names: for messages.

    Returns:
        Positions by split, each ascending; together every position once.

    Raises:
        UsageError: the fractions leave nothing to train on.
        DataError: a class has a single picture, or there are too few groups.
    """
    if not all(0 < fraction < 1 for fraction in fractions.values()) or sum(fractions.values()) >= 1:
        shares = ", ".join(f"{name} {fraction}" for name, fraction in fractions.items())
        raise UsageError(
            f"the shares {shares} leave nothing to train on: keep each above 0 and their sum "
            "below 1"
        )
    if not fractions:
        return {"train": np.arange(len(labels))}
    if groups is None:
        parts = _cut_by_class(labels, fractions, seed, class_names)
    else:
        parts = _cut_by_group(labels, fractions, seed, groups)
    return {name: np.sort(np.asarray(part, dtype=np.int64)) for name, part in parts.items()}


def _cut_by_class(
    labels: Labels,
    fractions: Mapping[str, float],
    seed: int,
    class_names: Sequence[str] | None,
) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {"train": [], **{name: [] for name in fractions}}
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    single: list[str] = []
    for label, members in zip(present, np.split(order, starts[1:]), strict=True):
        if len(members) < 2:
            single.append(str(label) if class_names is None else class_names[label])
            continue
        shuffled = np.random.default_rng([seed, int(label)]).permutation(members)
        position = 0
        for name, count in _shares(len(members), fractions).items():
            parts[name].extend(shuffled[position : position + count].tolist())
            position += count
        parts["train"].extend(shuffled[position:].tolist())
    if single:
        more = "" if len(single) == 1 else f" (and {len(single) - 1} other classes)"
        raise DataError(
            f"class {single[0]}{more} has a single picture, and training and validation need one "
            "each: add pictures or remove the class"
        )
    return parts


def _shares(pictures: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of a class's pictures each split gets; at least one stays for training."""
    counts: dict[str, int] = {}
    free = pictures - 1
    for name, fraction in fractions.items():
        counts[name] = min(free, max(1, round(fraction * pictures)))
        free -= counts[name]
    return counts


def _cut_by_group(
    labels: Labels, fractions: Mapping[str, float], seed: int, groups: Sequence[str]
) -> dict[str, list[int]]:
    """Give each group, large ones first, to the split that lacks its classes most.

    What is minimised is the squared distance of each split's share of each class from the share
    asked for, as in scikit-learn's StratifiedGroupKFold, here with unequal shares. The first
    group of a class always goes to training.
    """
    members: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    names = ["train", *fractions]
    if len(members) < len(names):
        raise DataError(
            f"the pictures form {len(members)} group(s), and {', '.join(names)} need one each: "
            "use a finer grouping or fewer splits"
        )
    keys = sorted(members)
    random_order = np.random.default_rng(seed).permutation(len(keys))
    order = sorted(random_order, key=lambda index: -len(members[keys[index]]))
    totals = np.bincount(labels).astype(np.float64)
    shares = np.array([1 - sum(fractions.values()), *fractions.values()])
    lacking: npt.NDArray[np.float64] = shares[:, None] * totals[None, :]
    trained = np.zeros(len(totals), dtype=bool)
    parts: dict[str, list[int]] = {name: [] for name in names}
    for index in order:
        positions = members[keys[index]]
        classes, counts = np.unique(labels[positions], return_counts=True)
        choice = 0
        if trained[classes].all():
            need = lacking[:, classes]
            change = ((need - counts) ** 2 - need**2) / totals[classes] ** 2
            choice = int(change.sum(axis=1).argmin())
        trained[classes] |= choice == 0
        lacking[choice, classes] -= counts
        parts[names[choice]].extend(positions)
    bare = [name for name in names if not parts[name]]
    if bare:
        raise DataError(
            f"the groups leave no picture for {' and '.join(bare)}: most classes have pictures of "
            "one group only; use a finer grouping or give the splits yourself"
        )
    return parts
