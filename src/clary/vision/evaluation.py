"""Judging a model on a split: run it over the pictures, then count.

`evaluate_split` needs torch, `evaluate_logits` does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clary.errors import DataError
from clary.formats import evaluation as formats
from clary.formats.preprocessing import Preprocessing
from clary.formats.text import valid_text
from clary.vision import metrics
from clary.vision.datasets.dataset import Split
from clary.vision.metrics import Floats, Integers

if TYPE_CHECKING:
    from clary.vision.models import Classifier

Logits = npt.NDArray[np.float32]


def evaluate_split(
    classifier: Classifier,
    split: Split,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 64,
    workers: int = 2,
    bf16: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Logits:
    """Run a model over the pictures of a split, each once, in their order.

    Args:
        classifier: on the device to use; its mode is left as it is.
        split: the pictures.
        preprocessing: the evaluation transform.
        batch_size: pictures a step, at least 1.
        workers: threads that decode, at least 1.
        bf16: whether to compute under bf16 autocast.
        progress: called with the pictures done and their total.

    Returns:
        Logits of shape (N, C), before the temperature.

    Raises:
        DataError: the split is empty, or a picture cannot be read.
    """
    import torch

    from clary.vision.geometry import EvaluationTransform
    from clary.vision.loaders import BatchLoader
    from clary.vision.transforms import to_network_input

    if len(split) == 0:
        raise DataError("the split has no pictures to judge the model on: give at least one")
    device = next(classifier.parameters()).device
    loader = BatchLoader(
        split,
        EvaluationTransform(preprocessing),
        batch_size=batch_size,
        seed=0,
        shuffle=False,
        workers=workers,
    )
    training = {module: module.training for module in classifier.modules()}
    classifier.eval()
    rows: list[Logits] = []
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            for batch in loader.batches(0):
                inputs = to_network_input(
                    batch.images,
                    preprocessing,
                    device=device,
                    dtype=torch.float32,
                    channels_last=True,
                )
                rows.append(classifier(inputs).float().cpu().numpy())
                if progress is not None:
                    progress(min(len(rows) * batch_size, len(split)), len(split))
    finally:
        for module, mode in training.items():
            module.training = mode
    return np.concatenate(rows)


def evaluate_logits(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    names: Sequence[str] | None = None,
) -> formats.Evaluation:
    """Judge the answers to a split.

    Args:
        logits: shape (N, C), before the temperature.
        labels: shape (N,), each 0…C-1.
        classes: the C names.
        temperature: divides the logits before the softmax, over 0.
        names: what a person calls each picture; default is its position.

    Returns:
        Every figure of the split, and its worst mistakes.

    Raises:
        DataError: there are no pictures, or labels, logits and classes do not belong together.
        ModelError: a logit is NaN or infinite.
    """
    scores, truth = metrics.checked(logits, labels, len(classes))
    predicted = scores.argmax(axis=1).astype(np.int64)
    confusion = metrics.confusion_matrix(predicted, truth, len(classes))
    counts = metrics.per_class(confusion)
    macro, weighted = metrics.averages(counts)
    right = int(confusion.trace())
    top_k = min(5, len(classes))
    rows, columns = np.nonzero(confusion)
    return formats.Evaluation(
        pictures=len(truth),
        right=right,
        accuracy=right / len(truth),
        interval=metrics.wilson_interval(right, len(truth)),
        top_k=top_k,
        top_k_accuracy=metrics.top_k_accuracy(scores, truth, top_k),
        balanced_accuracy=metrics.balanced_accuracy(counts),
        macro=formats.Averages(**vars(macro)),
        weighted=formats.Averages(**vars(weighted)),
        classes=_class_figures(classes, counts),
        confusion=tuple(
            (int(row), int(column), int(confusion[row, column]))
            for row, column in zip(rows, columns, strict=True)
        ),
        confused_pairs=tuple(
            formats.ConfusedPair(
                true=true, predicted=wrong, count=count, share=count / int(counts.support[true])
            )
            for true, wrong, count in metrics.confused_pairs(confusion)
        ),
        temperature=temperature,
        uncalibrated=_calibration(scores, truth),
        calibrated=_calibration(scores / temperature, truth),
        top_losses=_top_losses(scores / temperature, truth, predicted, names),
    )


def _class_figures(
    classes: Sequence[str], counts: metrics.ClassCounts
) -> tuple[formats.ClassFigures, ...]:
    return tuple(
        formats.ClassFigures(
            name=valid_text(name),
            support=int(counts.support[k]),
            predicted=int(counts.predicted[k]),
            precision=_known(counts.precision[k]),
            recall=_known(counts.recall[k]),
            f1=_known(counts.f1[k]),
        )
        for k, name in enumerate(classes)
    )


def _calibration(logits: Floats, labels: Integers) -> formats.Calibration:
    probabilities = metrics.softmax(logits)
    table = metrics.reliability(probabilities, labels)
    return formats.Calibration(
        ece=table.expected_error,
        nll=_unsigned(metrics.losses(logits, labels).mean()),
        brier=metrics.brier_score(probabilities, labels),
        bins=tuple(
            formats.ReliabilityBin(
                lower=float(table.edges[k]),
                upper=float(table.edges[k + 1]),
                count=int(table.count[k]),
                confidence=_known(table.confidence[k]),
                accuracy=_known(table.accuracy[k]),
            )
            for k in range(len(table.count))
        ),
    )


def _top_losses(
    logits: Floats, labels: Integers, predicted: Integers, names: Sequence[str] | None
) -> tuple[formats.Mistake, ...]:
    values = metrics.losses(logits, labels)
    order = np.argsort(-values, kind="stable")[: formats.MISTAKES]
    probabilities = metrics.softmax(logits[order])
    return tuple(
        formats.Mistake(
            index=int(index),
            name=valid_text(str(names[index])) if names is not None else str(int(index)),
            true=int(labels[index]),
            predicted=int(predicted[index]),
            probability=min(float(row[predicted[index]]), 1.0),
            true_probability=min(float(row[labels[index]]), 1.0),
            loss=_unsigned(values[index]),
        )
        for index, row in zip(order, probabilities, strict=True)
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else min(float(value), 1.0)


def _unsigned(value: float) -> float:
    # A certain answer has the loss -0.0, which reads oddly.
    return float(value) + 0.0
