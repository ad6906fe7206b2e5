"""Labels and predictions of a log, counted by class, and which tensors are such."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clary.formats.rule_parameters import Tensors
from clary.rules.window import Window

Classes = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
# A number per class is far fewer numbers than this; more is no class but something else.
_MOST_CLASSES = 100_000
_CLASSES = ("labels", "predictions")


def class_numbers(window: Window, name: str, step: int, *, argmax: bool = False) -> Classes | None:
    """Whole numbers from 0 on, one per sample; None where they were not saved, or are none.

    Args:
        window: where.
        name: a tensor (N), or (N, classes) whose largest number says the class.
        step: the capture.
        argmax: take the largest number of each row in any case.
    """
    tensor = window.raw(name, step)
    if tensor is None or tensor.size == 0:
        return None
    if tensor.ndim > 1 and (argmax or tensor.shape[-1] > 1):
        tensor = tensor.reshape(-1, tensor.shape[-1]).argmax(axis=-1)
    numbers = tensor.reshape(-1).astype(np.float64)
    if not np.isfinite(numbers).all() or numbers.min() < 0 or numbers.max() > _MOST_CLASSES:
        return None
    return np.rint(numbers).astype(np.int64)


def confusion(labels: Classes, predictions: Classes, classes: int = 0) -> Counts:
    """How often each class (row) was predicted as each class (column).

    Raises:
        ValueError: there are not as many predictions as labels.
    """
    if len(labels) != len(predictions):
        raise ValueError(f"there are {len(labels)} labels but {len(predictions)} predictions")
    size = max(classes, int(max(labels.max(initial=-1), predictions.max(initial=-1))) + 1)
    counts = np.bincount(labels * size + predictions, minlength=size * size)
    return np.asarray(counts.reshape(size, size), dtype=np.int64)


def numbers_of_network(window: Window, chosen: Tensors) -> Sequence[str]:
    """The tensors that the parameters name; where they name none, all but labels and predictions.

    A batch may well hold one class alone, whose number may be 0, and the next one may be the same.
    With `published_defaults` every tensor is taken where none is named.
    """
    names = window.names(chosen.tensor_regex or (), chosen.collection_names or ())
    if chosen.published_defaults or chosen.tensor_regex or chosen.collection_names:
        return names
    classes = {*window.names([f".*{name}$" for name in _CLASSES], _CLASSES)}
    return tuple(name for name in names if name not in classes)
