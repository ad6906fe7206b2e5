"""SageMaker's own lists of pictures: `.lst` and the augmented manifest.

Formats: "Image Classification - MXNet" (input for the algorithm's image format) and "Augmented
manifest files" in the Amazon SageMaker developer guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from clary.errors import DataError
from clary.vision.datasets.listing import readable
from clary.vision.datasets.manifest_rows import ManifestPlace, Row

LST = "SageMaker .lst"
AUGMENTED = "SageMaker augmented manifest"

_REFERENCE = "source-ref"
_METADATA = "-metadata"


def lst_rows(manifest: Path) -> Iterator[Row]:
    """Rows of `index <tab> label <tab> path`; the label is a whole number, maybe as `3.000000`.

    Raises:
        DataError: it cannot be read, or a line has another form.
    """
    try:
        with readable(manifest), manifest.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                cells = [cell.strip() for cell in text.rstrip("\r\n").split("\t")]
                if len(cells) != 3:
                    raise DataError(
                        f"{manifest}, line {line} has {len(cells)} values between tabs, not 3: "
                        "write index, label and path (one label a picture)"
                    )
                yield Row(line, cells[2], _class_number(cells[1], manifest, line))
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest} is not UTF-8 text: save it as UTF-8") from error


def lst_place(place: ManifestPlace) -> ManifestPlace:
    """Where the pictures of a `.lst` lie: beside it, or in SageMaker's channel of its name.

    `train_lst/train.lst` lists what the channel `train` holds.
    """
    folder = place.manifest.parent
    stem = place.manifest.stem
    return replace(place, folders=(folder, folder / stem, folder.parent / stem))


def _class_number(text: str, manifest: Path, line: int) -> str:
    try:
        number = float(text)
        if number.is_integer():
            return str(int(number))
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{manifest}, line {line}: the label {text!r} is not a whole number")


def is_augmented(first: dict[str, Any]) -> bool:
    """Whether a JSON-lines file whose first object is this is an augmented manifest."""
    return _REFERENCE in first


def augmented_rows(
    lines: Iterable[tuple[int, dict[str, Any]]], place: ManifestPlace
) -> Iterator[Row]:
    """Rows of an augmented manifest; pictures in S3 are looked for beside it.

    `s3://bucket/a/b/c.jpg` may lie beside the manifest as `a/b/c.jpg`, `b/c.jpg` or `c.jpg`.
    The class is the metadata's `class-name`, or else the value of the label attribute.

    Raises:
        DataError: a line without reference or label, or pictures that are only in S3.
    """
    attribute: str | None = None
    remote: list[str] = []
    for line, value in lines:
        if attribute is None:
            attribute = _label_attribute(value, place.manifest, line)
        reference = value.get(_REFERENCE)
        if not isinstance(reference, str) or not reference:
            raise DataError(f"{place.manifest}, line {line} has no {_REFERENCE}: add the picture")
        if reference.startswith("s3://"):
            local = _beside(reference, place, line)
            if local is None:
                remote.append(reference)
                continue
            reference = local
        yield Row(line, reference.removeprefix("file://"), _label(value, attribute))
    if remote:
        raise DataError(
            f"{place.manifest} names {len(remote)} picture(s) in S3 that are not beside it "
            f"(first: {remote[0]}): copy them into {place.manifest.parent} and run again"
        )


def _label_attribute(value: dict[str, Any], manifest: Path, line: int) -> str:
    """The key that holds the label: the one with metadata, or the only other one."""
    keys = [key for key in value if key != _REFERENCE and not key.endswith(_METADATA)]
    described = [
        key.removesuffix(_METADATA)
        for key in value
        if key.endswith(_METADATA) and isinstance(value[key], dict)
    ]
    candidates = described or keys
    if len(candidates) != 1:
        raise DataError(
            f"{manifest}, line {line} has {len(candidates)} label attributes"
            f"{' (' + ', '.join(candidates) + ')' if candidates else ''}: keep one"
        )
    kind = value.get(candidates[0] + _METADATA, {}).get("type", "")
    if isinstance(value.get(candidates[0]), dict | list):
        raise DataError(
            f"{manifest}, line {line}: {candidates[0]} is no class of a picture"
            f"{f' but {kind}' if kind else ''}: give image-classification labels"
        )
    return candidates[0]


def _label(value: dict[str, Any], attribute: str) -> str:
    metadata = value.get(attribute + _METADATA)
    name = metadata.get("class-name") if isinstance(metadata, dict) else None
    label = value.get(attribute) if name is None else name
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return "" if label is None else str(label).strip()


def _beside(reference: str, place: ManifestPlace, line: int) -> str | None:
    parts = [part for part in reference.removeprefix("s3://").split("/")[1:] if part]
    for start in range(len(parts)):
        candidate = "/".join(parts[start:])
        if ".." not in parts[start:] and place.find(candidate, line) is not None:
            return candidate
    return None
