"""CIFAR-10 and CIFAR-100 in their pickled form, turned once into mapped rows of pixels.

Format: https://www.cs.toronto.edu/~kriz/cifar.html. A batch is a pickled dictionary; `data` has
rows of 3,072 bytes, the red, green and blue planes of a 32×32 picture. One batch at a time is in
memory while they are turned, and none afterwards.
"""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from clary.errors import DataError
from clary.formats.files import storage_errors
from clary.settings import Settings
from clary.vision.datasets.dataset import Labels, Progress
from clary.vision.datasets.layout import FoundDataset, FoundSplit
from clary.vision.datasets.listing import readable
from clary.vision.datasets.prepared import built_once, files_key
from clary.vision.datasets.sources import ArraySource

_SIDE = 32
_ROW_BYTES = 3 * _SIDE * _SIDE
_VERSION = 1

# All that a pickled dictionary of arrays needs; everything else is refused by name.
_BUILTINS = frozenset(
    {"bool", "bytearray", "bytes", "complex", "dict", "float", "int", "list", "set"}
    | {"str", "tuple"}
)
_NUMPY = frozenset(
    {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer")}
)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it uses the encoding {encoding}")
    return text.encode("latin1")


class BatchUnpickler(pickle.Unpickler):
    """Unpickles arrays and plain values, and refuses whatever could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """The admitted global of that name.

        Raises:
            pickle.UnpicklingError: it is not admitted.
        """
        if module in {"builtins", "__builtin__"} and name in _BUILTINS:
            return super().find_class("builtins", name)
        if module == "numpy" and name in {"dtype", "ndarray"}:
            return getattr(np, name)
        package, _, part = module.rpartition(".")
        if package in {"numpy.core", "numpy._core"} and (part, name) in _NUMPY:
            return super().find_class(f"numpy._core.{part}", name)
        if (module, name) == ("_codecs", "encode"):
            # How Python 3 writes bytes in protocols 0 to 2.
            return _latin1
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch needs")


def is_cifar_folder(folder: Path) -> bool:
    """Whether a folder holds the pickled batches of CIFAR-10 or CIFAR-100."""
    ten = (folder / "data_batch_1").is_file()
    return ten or all((folder / name).is_file() for name in ("train", "test", "meta"))


def read_cifar(folder: Path, settings: Settings, progress: Progress | None = None) -> FoundDataset:
    """Read the batches of a folder; CIFAR-100 with its 100 fine classes.

    Raises:
        DataError: a batch is damaged, has another form, or holds more than arrays.
        StorageError: the cache cannot be written.
    """
    ten = (folder / "data_batch_1").is_file()
    train = sorted(folder.glob("data_batch_*"), key=_batch_number) if ten else [folder / "train"]
    test = [path for path in [folder / ("test_batch" if ten else "test")] if path.is_file()]
    meta = folder / ("batches.meta" if ten else "meta")
    parts = {"train": train, "test": test} if test else {"train": train}
    label_key = "labels" if ten else "fine_labels"
    with readable(folder):
        key = files_key([*train, *test])

    def build(target: Path) -> None:
        # What is read has its own sentences.
        with storage_errors(target):
            for split, batches in parts.items():
                _convert(batches, label_key, target / split, progress)

    rows = built_once(settings.cache_dir / "cifar" / f"{key}-{_VERSION}", build)
    classes = _class_names(meta, "label_names" if ten else "fine_label_names")
    found = {split: _mapped(rows / split, f"{key}-{split}") for split in parts}
    most = max(int(labels.max()) for _, labels in found.values())
    if classes is None:
        classes = tuple(str(number) for number in range(most + 1))
    if most >= len(classes):
        raise DataError(f"{folder}: a batch has label {most}, but {meta.name} names {len(classes)}")
    splits = {name: FoundSplit(*_named(pair, classes)) for name, pair in found.items()}
    layout = f"CIFAR-{10 if ten else 100} batches"
    return FoundDataset(layout, splits, class_order=classes)


def _named(
    pair: tuple[ArraySource, Labels], classes: tuple[str, ...]
) -> tuple[ArraySource, tuple[str, ...], Labels]:
    return pair[0], classes, pair[1]


def _batch_number(path: Path) -> tuple[int, str]:
    number = path.name.rpartition("_")[2]
    return (int(number) if number.isdecimal() else 1 << 30, path.name)


def _unpickle(path: Path) -> dict[str, Any]:
    """The batch's dictionary, with its keys as text.

    Raises:
        DataError: it is damaged, no dictionary, or holds more than arrays and plain values.
    """
    with readable(path):
        file: io.BufferedReader = path.open("rb")
    with file:
        try:
            value = BatchUnpickler(file, encoding="bytes").load()
        except Exception as error:  # Damaged pickles raise whatever their opcodes run into.
            raise DataError(
                f"{path} cannot be read as a CIFAR batch ({str(error) or type(error).__name__}): "
                "fetch the data set again"
            ) from error
    if not isinstance(value, dict):
        raise DataError(
            f"{path} is no CIFAR batch but a pickled {type(value).__name__}: "
            "fetch the data set again"
        )
    return {_as_text(key): content for key, content in value.items()}


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _class_names(meta: Path, key: str) -> tuple[str, ...] | None:
    if not meta.is_file():
        return None
    names = _unpickle(meta).get(key)
    if not isinstance(names, list) or not names:
        raise DataError(f"{meta} has no {key}: fetch the data set again")
    return tuple(_as_text(name) for name in names)


def _convert(batches: list[Path], label_key: str, target: Path, progress: Progress | None) -> None:
    """Write the batches' pictures as `target`.rgb, and their labels and names beside it."""
    labels: list[npt.NDArray[np.int64]] = []
    names: list[str] = []
    with target.with_suffix(".rgb").open("wb") as output:
        for number, path in enumerate(batches):
            batch = _unpickle(path)
            rows, marks = batch.get("data"), batch.get(label_key)
            if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.ndim != 2:
                raise DataError(f"{path} has no array `data` of bytes: fetch the data set again")
            if rows.shape[1] != _ROW_BYTES:
                raise DataError(
                    f"{path} has rows of {rows.shape[1]} bytes, not {_ROW_BYTES}: "
                    "fetch the data set again"
                )
            labels.append(_checked_labels(marks, label_key, len(rows), path))
            files = batch.get("filenames")
            if isinstance(files, list) and len(files) == len(rows):
                names.extend(f"{path.name}/{_as_text(file)}" for file in files)
            else:
                names.extend(f"{path.name}/{row:05}" for row in range(len(rows)))
            planes = rows.reshape(-1, 3, _SIDE, _SIDE)
            output.write(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).data)
            if progress is not None:
                progress(f"reading {target.name} batches", number + 1, len(batches))
    np.save(target.with_suffix(".npy"), np.concatenate(labels))
    target.with_suffix(".json").write_text(json.dumps(names), encoding="utf-8")


def _checked_labels(marks: object, label_key: str, count: int, path: Path) -> npt.NDArray[np.int64]:
    if isinstance(marks, list | np.ndarray) and len(marks) == count and count:
        labels = np.asarray(marks)
        if labels.ndim == 1 and labels.dtype.kind in "iu" and labels.min() >= 0:
            return labels.astype(np.int64)
    raise DataError(f"{path} has no `{label_key}`, a number for each row: fetch the data set again")


def _mapped(target: Path, key: str) -> tuple[ArraySource, Labels]:
    labels = cast(Labels, np.load(target.with_suffix(".npy")))
    names = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    shape = (len(labels), _SIDE, _SIDE, 3)
    images = np.memmap(target.with_suffix(".rgb"), dtype=np.uint8, mode="r", shape=shape)
    return ArraySource(images, names, key=key), labels
