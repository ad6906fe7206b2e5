"""Manifests: a CSV or JSON-lines file that names pictures and labels, maybe splits and groups.

SageMaker's own two formats are in `sagemaker_manifests`; which one a file is in is told here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from clary.errors import DataError, UsageError
from clary.vision.datasets.layout import FoundDataset, split_of
from clary.vision.datasets.listing import PICTURE_EXTENSIONS, extension, readable
from clary.vision.datasets.manifest_rows import ManifestPlace, Row, gather
from clary.vision.datasets.sagemaker_manifests import (
    AUGMENTED,
    LST,
    augmented_rows,
    is_augmented,
    lst_place,
    lst_rows,
)

_PATHS: tuple[str, ...] = (
    "path",
    "file",
    "filename",
    "filepath",
    "image",
    "imagepath",
    "imagefile",
    "imagename",
)
_PATHS += ("picture", "img", "imgpath", "imageid", "files", "filepaths", "filenames", "images")
_LABELS = ("label", "class", "classname", "labelname", "category", "target", "tag", "labels", "y")
_SPLITS = ("split", "set", "subset", "partition", "dataset", "usage")
_GROUPS = ("group", "groupid")


def read_manifest(
    manifest: Path, *, group_by: str | None = None, confined_to: Path | None = None
) -> FoundDataset:
    """Read a manifest of any of the four formats.

    Args:
        manifest: `.lst`, JSON lines (augmented or not) or CSV; its relative paths start at its
            own folder.
        group_by: the column or key that holds groups; `group` is used by itself.
        confined_to: a folder that no picture may lie outside of.

    Raises:
        DataError: it cannot be read, or a line of it is wrong.
        UsageError: it has no column `group_by`.
    """
    folder = manifest.parent
    place = ManifestPlace(manifest, (folder,), confined_to)
    suffix = extension(manifest.name)
    if suffix == ".lst":
        _refuse_groups(group_by, LST)
        return gather(lst_rows(manifest), lst_place(place), LST)
    if suffix in {".csv", ".tsv"}:
        return gather(_csv_rows(manifest, group_by), place, f"CSV manifest {manifest.name}")
    first = next(json_lines(manifest), None)
    if first is not None and is_augmented(first[1]):
        _refuse_groups(group_by, AUGMENTED)
        return gather(augmented_rows(json_lines(manifest), place), place, AUGMENTED)
    layout = f"JSON-lines manifest {manifest.name}"
    return gather(_json_rows(manifest, group_by), place, layout)


def describes_pictures(manifest: Path) -> bool:
    """Whether a file found in a folder is a manifest of pictures that exist, by its first row.

    Only columns known by name count here: a table beside pictures may be anything.
    """
    place = ManifestPlace(manifest, (manifest.parent,))
    suffix = extension(manifest.name)
    try:
        if suffix == ".lst":
            row: Row | None = next(lst_rows(manifest), None)
            place = lst_place(place)
        elif suffix in {".csv", ".tsv"}:
            with opened_text(manifest) as file:
                header = next(csv.reader(file, delimiter=_delimiter(file)), [])
            if _column(header, _PATHS) is None or _column(header, _LABELS) is None:
                return False
            row = next(_csv_rows(manifest, None), None)
        else:
            first = next(json_lines(manifest), None)
            if first is None:
                return False
            if is_augmented(first[1]):
                return True
            row = next(_json_rows(manifest, None), None)
        return row is not None and place.find(row.reference, row.line) is not None
    except (DataError, csv.Error):
        return False


@contextmanager
def opened_text(manifest: Path) -> Iterator[TextIO]:
    """Open a manifest as UTF-8 text, with or without a byte-order mark.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        with readable(manifest), manifest.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest} is not UTF-8 text: save it as UTF-8") from error


def json_lines(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file with their line numbers; empty lines are passed over.

    Raises:
        DataError: a line is not a JSON object.
    """
    with opened_text(manifest) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise DataError(
                    f"{manifest}, line {line} is not a JSON object: write one picture a line, "
                    'such as {"path": "a.jpg", "label": "cat"}'
                )
            yield line, value


def _json_rows(manifest: Path, group_by: str | None) -> Iterator[Row]:
    columns: list[str | None] = []
    for line, value in json_lines(manifest):
        if not columns:
            keys = list(value)
            columns = [
                keys[index] if index is not None else None
                for index in _columns(keys, manifest, group_by)
            ]
        texts = [_text(value.get(key), manifest, line) if key else "" for key in columns]
        yield Row(line, *texts)


def _csv_rows(manifest: Path, group_by: str | None) -> Iterator[Row]:
    with opened_text(manifest) as file:
        reader = csv.reader(file, delimiter=_delimiter(file))
        columns: Sequence[int | None] = ()
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if not columns:
                    if not _is_picture_row(cells):
                        columns = _columns(cells, manifest, group_by)
                        continue
                    columns = _columns_by_content(cells, manifest, group_by)
                yield Row(
                    reader.line_num,
                    *(
                        cells[index].strip() if index is not None and index < len(cells) else ""
                        for index in columns
                    ),
                )
        except csv.Error as error:
            raise DataError(
                f"{manifest}, line {reader.line_num} is not CSV ({error}): check its quotes"
            ) from error


def _delimiter(file: TextIO) -> str:
    first = file.readline()
    file.seek(0)
    return max(",;\t", key=first.count)


def _is_picture_row(cells: Sequence[str]) -> bool:
    return any(extension(cell.strip()) in PICTURE_EXTENSIONS for cell in cells)


def _columns_by_content(
    cells: Sequence[str], manifest: Path, group_by: str | None
) -> Sequence[int | None]:
    """Path, label, split and group of a table without a header, from its first row."""
    if group_by is not None:
        raise UsageError(
            f"{manifest} has no header, so no column {group_by!r} for the groups: add a header"
        )
    path = next(i for i, cell in enumerate(cells) if extension(cell.strip()) in PICTURE_EXTENSIONS)
    others = [index for index in range(len(cells)) if index != path]
    split = next((i for i in others[1:] if split_of(cells[i]) is not None), None)
    if not others or len(others) - (split is not None) != 1:
        raise DataError(
            f"{manifest} has {len(cells)} columns and no header: add a header with path and label"
        )
    return path, others[0], split, None


def _columns(
    header: Sequence[str], manifest: Path, group_by: str | None
) -> tuple[int | None, int | None, int | None, int | None]:
    """Where path, label, split and group stand."""
    path, label = _column(header, _PATHS), _column(header, _LABELS)
    if path is not None and label is None and len(header) == 2:
        label = 1 - path
    if path is None or label is None:
        raise DataError(
            f"{manifest} has the columns {', '.join(cell.strip() for cell in header)}: "
            "name two of them path and label"
        )
    group = _column(header, _GROUPS)
    if group_by is not None:
        group = _column(header, (_plain(group_by),))
        if group is None:
            raise UsageError(
                f"{manifest} has no column {group_by!r}, only "
                f"{', '.join(cell.strip() for cell in header)}: choose one of them for group_by"
            )
    return path, label, _column(header, _SPLITS), group


def _column(header: Sequence[str], words: Sequence[str]) -> int | None:
    """The first column that has one of the names, earlier names first."""
    plain = [_plain(cell) for cell in header]
    return next((plain.index(word) for word in words if word in plain), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace(" ", "").replace("-", "")


def _text(value: object, manifest: Path, line: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | Mapping):
        raise DataError(
            f"{manifest}, line {line} gives several values where one is expected: a picture has "
            "one path and one label"
        )
    return str(value).strip()


def _refuse_groups(group_by: str | None, layout: str) -> None:
    if group_by is not None:
        raise UsageError(f"{layout} has no groups: leave out group_by {group_by!r}")
