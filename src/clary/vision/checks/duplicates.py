"""Findings about pictures that are there twice: copies, leakage between splits, two labels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from clary.formats.data_check import NAMES_LIMIT, CheckFinding, Severity
from clary.vision.checks.catalogue import Catalogue
from clary.vision.checks.examination import Examined, content_digest
from clary.vision.checks.findings import finding, number, share
from clary.vision.checks.likeness import MIN_CONTRAST, close_pairs

# Pictures under this short side look alike by their coarseness: 8×8 digits, icons.
LIKENESS_SIDE = 32
# From this share of a split on, what is measured on it says nothing.
WORTHLESS_SHARE = 0.5
NOTABLE_SHARE = 0.01

Pairs = npt.NDArray[np.int64]


def copies(catalogue: Catalogue, examined: Examined) -> Pairs:
    """Pairs of identical pictures: each with a few of its group that show every kind of trouble.

    Returns:
        Positions, shape (pairs, 2), the earlier first; at most six pairs a picture.
    """
    _hash_where_sizes_agree(catalogue, examined)
    known = np.flatnonzero((examined.digests != 0) & examined.readable)
    order = known[np.lexsort((known, examined.digests[known], examined.bytes[known]))]
    same = (np.diff(examined.bytes[order]) == 0) & (np.diff(examined.digests[order]) == 0)
    bounds = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(order)]])
    pairs: set[tuple[int, int]] = set()
    for group in np.flatnonzero(np.diff(bounds) > 1):
        _pair_up(catalogue, order[bounds[group] : bounds[group + 1]].tolist(), pairs)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _pair_up(catalogue: Catalogue, group: list[int], pairs: set[tuple[int, int]]) -> None:
    """Pair each of a group with the first of each split, of its own kind, of another class."""
    of_split: dict[int, int] = {}
    of_kind: dict[tuple[int, int], int] = {}
    of_class: dict[int, int] = {}
    for index in group:
        split, label = int(catalogue.splits[index]), int(catalogue.labels[index])
        earlier = set(of_split.values())
        earlier.add(of_kind.setdefault((split, label), index))
        earlier.update([first for k, first in list(of_class.items())[:2] if k != label][:1])
        pairs.update((first, index) for first in earlier if first != index)
        of_split.setdefault(split, index)
        of_class.setdefault(label, index)


def likenesses(examined: Examined) -> Pairs:
    """Pairs of pictures that look alike, blank and very small ones left out.

    Returns:
        Positions, shape (pairs, 2), the earlier first.
    """
    large = np.minimum(examined.widths, examined.heights) >= LIKENESS_SIDE
    usable = examined.hashed & large & (examined.contrasts >= MIN_CONTRAST)
    chosen = np.flatnonzero(usable)
    if len(chosen) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    return chosen[close_pairs(examined.hashes[chosen], examined.codes[chosen])]


def duplicate_findings(catalogue: Catalogue, examined: Examined) -> Iterator[CheckFinding]:
    """Everything about pictures that are there more than once."""
    exact = copies(catalogue, examined)
    yield from _leakage(catalogue, exact, near=False)
    yield from _two_labels(catalogue, exact, near=False)
    yield from _within_split(catalogue, exact, near=False)
    alike = likenesses(examined)
    # What has been reported as a copy is not reported again as a likeness.
    known = examined.digests
    identical = (known[alike[:, 0]] == known[alike[:, 1]]) & (known[alike[:, 0]] != 0)
    alike = alike[~identical]
    yield from _leakage(catalogue, alike, near=True)
    yield from _two_labels(catalogue, alike, near=True)
    yield from _within_split(catalogue, alike, near=True)


def _hash_where_sizes_agree(catalogue: Catalogue, examined: Examined) -> None:
    """Hash the files that were not read whole and that another file equals in size."""
    open_ones = examined.readable & (examined.digests == 0)
    sizes, counts = np.unique(examined.bytes[examined.readable], return_counts=True)
    shared = np.isin(examined.bytes, sizes[counts > 1])
    for index in np.flatnonzero(open_ones & shared).tolist():
        examined.digests[index] = content_digest(catalogue.read_bytes(index))


def _leakage(catalogue: Catalogue, pairs: Pairs, *, near: bool) -> Iterator[CheckFinding]:
    for first, second in combinations(range(len(catalogue.split_names)), 2):
        left, right = catalogue.splits[pairs].T if len(pairs) else np.zeros((2, 0))
        # Splits stand in order and pairs have the earlier picture first.
        across = pairs[(left == first) & (right == second)]
        if not len(across):
            continue
        leaked, where = np.unique(across[:, 1], return_index=True)
        size = int((catalogue.splits == second).sum())
        origin, target = catalogue.split_names[first], catalogue.split_names[second]
        part = len(leaked) / size
        severity: Severity = "warning"
        if near and part < NOTABLE_SHARE:
            severity = "notice"
        elif not near and origin == "train" and part >= WORTHLESS_SHARE:
            severity = "error"
        verb = "is" if len(leaked) == 1 else "are"
        kind = "nearly the same as one" if near else "also"
        yield finding(
            "near-leakage" if near else "leakage",
            severity,
            f"{number(len(leaked), 'picture')} of {target} ({share(len(leaked), size)}) {verb} "
            f"{kind} in {origin}, so what is measured on {target} is too good: "
            + _remedy(catalogue, second),
            _names(catalogue, leaked),
            count=len(leaked),
            details=_like(catalogue, across[where, 0], near),
        )


def _remedy(catalogue: Catalogue, split: int) -> str:
    if catalogue.split_names[split] in catalogue.dataset.made_splits:
        return "remove the copies, or keep what belongs together in one split with --group-by"
    return f"remove them from {catalogue.split_names[split]}"


def _two_labels(catalogue: Catalogue, pairs: Pairs, *, near: bool) -> Iterator[CheckFinding]:
    differ = pairs[catalogue.labels[pairs[:, 0]] != catalogue.labels[pairs[:, 1]]]
    if not len(differ):
        return
    affected, where = np.unique(differ[:, 1], return_index=True)
    classes = catalogue.dataset.classes
    others = differ[where, 0]
    if near:
        message = (
            f"{number(len(affected), 'picture')} nearly the same as one of another class: look at "
            "them, one of the two labels may be wrong"
        )
    else:
        message = (
            f"{number(len(affected), 'picture')} that another class has too, byte for byte: keep "
            "each in the class it belongs to"
        )
    yield finding(
        "near-conflict" if near else "conflicting-labels",
        "notice" if near else "warning",
        message,
        _names(catalogue, affected),
        count=len(affected),
        details=[
            f"{classes[catalogue.labels[index]]}, and {classes[catalogue.labels[other]]} as "
            f"{catalogue.name(int(other))}"
            for index, other in zip(affected[:NAMES_LIMIT], others[:NAMES_LIMIT], strict=True)
        ],
    )


def _within_split(catalogue: Catalogue, pairs: Pairs, *, near: bool) -> Iterator[CheckFinding]:
    together = pairs[
        (catalogue.splits[pairs[:, 0]] == catalogue.splits[pairs[:, 1]])
        & (catalogue.labels[pairs[:, 0]] == catalogue.labels[pairs[:, 1]])
    ]
    if not len(together):
        return
    extra, where = np.unique(together[:, 1], return_index=True)
    if near:
        message = (
            f"{number(len(extra), 'picture')} nearly the same as another of the same class and "
            "split: they teach little that is new"
        )
    else:
        message = (
            f"{number(len(extra), 'copy', 'copies')} of pictures of the same class and split: "
            "remove them, or they count twice"
        )
    yield finding(
        "near-duplicate" if near else "duplicate",
        "notice" if near or len(extra) < NOTABLE_SHARE * len(catalogue) else "warning",
        message,
        _names(catalogue, extra),
        count=len(extra),
        details=_like(catalogue, together[where, 0], near),
    )


def _names(catalogue: Catalogue, indices: npt.NDArray[np.int64]) -> list[str]:
    return [catalogue.name(int(index)) for index in indices[:NAMES_LIMIT]]


def _like(catalogue: Catalogue, indices: npt.NDArray[np.int64], near: bool) -> list[str]:
    word = "like" if near else "same as"
    return [f"{word} {name}" for name in _names(catalogue, indices)]
