"""Findings about single files and pictures: unreadable, misnamed, tiny, turned, blank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from clary.formats.data_check import NAMES_LIMIT, CheckFinding
from clary.vision.checks.catalogue import Catalogue
from clary.vision.checks.examination import Examined
from clary.vision.checks.findings import finding, number, share
from clary.vision.checks.likeness import MIN_CONTRAST

TINY_SIDE = 32
EXTREME_RATIO = 4.0


def unreadable_pictures(catalogue: Catalogue, examined: Examined) -> Iterator[CheckFinding]:
    """Files that training would stop at, those cut short apart from the others."""
    truncated = sorted(i for i, reason in examined.problems.items() if "truncated" in reason)
    others = sorted(set(examined.problems) - set(truncated))
    for code, indices, what in (
        ("truncated-picture", truncated, "cut short"),
        ("unreadable-picture", others, "unreadable"),
    ):
        if indices:
            verb, them = ("is", "it") if len(indices) == 1 else ("are", "them")
            yield finding(
                code,
                "error",
                f"{number(len(indices), 'picture')} {verb} {what}: training would stop there, so "
                f"copy {them} from the original again or remove {them}",
                [catalogue.name(i) for i in indices],
                details=[examined.problems[i] for i in indices],
            )


def skipped_files(catalogue: Catalogue) -> Iterator[CheckFinding]:
    """What the layout's reader left out: hidden folders, other types, pictures out of place."""
    skipped = catalogue.dataset.skipped
    unsupported = [each for each in skipped if each.reason.startswith("unsupported type")]
    hidden = [each for each in skipped if each.reason.startswith("hidden")]
    rest = [each for each in skipped if each not in set(unsupported) | set(hidden)]
    for code, group, (noun, plural), message in (
        (
            "unsupported-type",
            unsupported,
            ("file", "files"),
            "left out because of the type: convert to JPEG or PNG what should be learned from",
        ),
        (
            "hidden",
            hidden,
            ("hidden file or folder", "hidden files or folders"),
            "left out: rename what is meant to be a class",
        ),
        (
            "left-out",
            rest,
            ("file or folder", "files or folders"),
            "left out: move into a class folder what should be learned from",
        ),
    ):
        if group:
            verb = "was" if len(group) == 1 else "were"
            yield finding(
                code,
                "notice" if code == "hidden" else "warning",
                f"{number(len(group), noun, plural)} {verb} {message}",
                [each.name for each in group],
                details=[each.reason for each in group],
            )


def misnamed_files(catalogue: Catalogue, examined: Examined) -> Iterator[CheckFinding]:
    """Files whose extension promises another format than their content is."""
    indices = np.flatnonzero(examined.lying & examined.readable)
    if len(indices):
        yield finding(
            "wrong-extension",
            "notice",
            f"{number(len(indices), 'file')} of another format than the extension says: Clary "
            "reads them, other programs may not, so rename them",
            _names(catalogue, indices),
            count=len(indices),
        )


def picture_shapes(
    catalogue: Catalogue, examined: Examined, image_size: int
) -> Iterator[CheckFinding]:
    """Tiny pictures and long thin ones.

    Where half of all pictures are tiny, that is what the data are: one notice says so.
    """
    readable = examined.readable
    short = np.minimum(examined.widths, examined.heights)
    long = np.maximum(examined.widths, examined.heights)
    if not readable.any():
        return
    median = int(np.median(short[readable]))
    if median < image_size / 2:
        yield finding(
            "small-pictures",
            "notice",
            f"half of the pictures have a short side of {median} px or less, under the network's "
            f"{image_size}: they are enlarged, and a smaller --image-size is faster",
            count=int((short[readable] <= median).sum()),
        )
    if median >= TINY_SIDE:
        indices = np.flatnonzero(readable & (short < TINY_SIDE))
        if len(indices):
            yield finding(
                "tiny-picture",
                "warning",
                f"{number(len(indices), 'picture')} with a side under {TINY_SIDE} px, such as "
                "thumbnails and icons: replace them by the originals or remove them",
                _names(catalogue, indices),
                count=len(indices),
                details=_sizes(examined, indices),
            )
    indices = np.flatnonzero(readable & (long > EXTREME_RATIO * np.maximum(short, 1)))
    if len(indices):
        yield finding(
            "extreme-shape",
            "notice",
            f"{number(len(indices), 'picture')} more than {EXTREME_RATIO:.0f} times as long as "
            "wide: the network sees the middle square only, so cut out what matters",
            _names(catalogue, indices),
            count=len(indices),
            details=_sizes(examined, indices),
        )


def picture_looks(catalogue: Catalogue, examined: Examined) -> Iterator[CheckFinding]:
    """Turned by EXIF, without colour among coloured ones, or blank."""
    readable = examined.readable
    turned = int((examined.turned & readable).sum())
    if turned:
        yield finding(
            "exif-orientation",
            "notice",
            f"{number(turned, 'picture')} stored lying and turned upright by EXIF orientation: "
            "Clary turns them, as any program must that uses the model",
            _names(catalogue, np.flatnonzero(examined.turned & readable)),
            count=turned,
        )
    blank = np.flatnonzero(examined.hashed & (examined.contrasts < MIN_CONTRAST))
    if len(blank):
        yield finding(
            "blank-picture",
            "warning",
            f"{number(len(blank), 'picture')} of hardly more than a single shade: remove "
            "what shows nothing",
            _names(catalogue, blank),
            count=len(blank),
        )
    grey = np.flatnonzero(examined.grey & readable)
    coloured = int(readable.sum()) - len(grey)
    if len(grey) and coloured:
        yield finding(
            "grey-picture",
            "notice",
            f"{number(len(grey), 'picture')} ({share(len(grey), int(readable.sum()))}) without "
            "colour among coloured ones: fine when the pictures to come are mixed likewise",
            _names(catalogue, grey),
            count=len(grey),
        )
        yield from _grey_classes(catalogue, examined)


def _grey_classes(catalogue: Catalogue, examined: Examined) -> Iterator[CheckFinding]:
    """Classes that are nearly all grey while most others are not: colour gives them away."""
    classes = catalogue.dataset.classes
    readable = examined.readable
    totals = np.bincount(catalogue.labels[readable], minlength=len(classes))
    grey = np.bincount(catalogue.labels[readable & examined.grey], minlength=len(classes))
    shares = grey / np.maximum(totals, 1)
    alone = np.flatnonzero((shares >= 0.8) & (totals > 0))
    others = np.flatnonzero((shares < 0.2) & (totals > 0))
    if len(alone) and len(others) >= len(alone):
        yield finding(
            "grey-class",
            "warning",
            f"{number(len(alone), 'class', 'classes')} nearly all without colour while others have "
            "it: the network may learn just that, so mix in pictures of the other kind",
            [classes[k] for k in alone],
            details=[f"{share(int(grey[k]), int(totals[k]))} grey" for k in alone],
        )


def _names(catalogue: Catalogue, indices: npt.NDArray[np.int64] | Sequence[int]) -> list[str]:
    return [catalogue.name(int(index)) for index in indices[:NAMES_LIMIT]]


def _sizes(examined: Examined, indices: npt.NDArray[np.int64]) -> list[str]:
    return [f"{examined.widths[i]}×{examined.heights[i]}" for i in indices[:NAMES_LIMIT]]
