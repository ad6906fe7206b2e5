"""How right a classifier is, counted in numpy: no torch, no pictures.

Everything starts from logits of shape (N, C) and labels of shape (N,). A class without pictures
has no recall, and no average counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clary.errors import DataError, ModelError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

WILSON_95 = 1.959963984540054
RELIABILITY_BINS = 15


def checked(
    logits: npt.ArrayLike, labels: npt.ArrayLike, classes: int | None = None
) -> tuple[Floats, Integers]:
    """Give logits as float64 (N, C) and labels as int64 (N,), or say what is wrong with them.

    Raises:
        DataError: there are no pictures, the shapes do not belong together, or a label is no class.
        ModelError: a logit is NaN or infinite.
    """
    scores = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(labels)
    if scores.ndim != 2 or truth.ndim != 1 or len(scores) != len(truth) or scores.shape[1] == 0:
        raise DataError(
            f"logits of shape {scores.shape} and labels of shape {truth.shape} do not belong "
            "together: give (pictures, classes) and (pictures,)"
        )
    if len(truth) == 0:
        raise DataError("there are no pictures to judge the model on: give at least one")
    if classes is not None and scores.shape[1] != classes:
        raise DataError(
            f"the logits have {scores.shape[1]} columns but there are {classes} classes: "
            "judge the model with the classes that it was trained on"
        )
    if not np.issubdtype(truth.dtype, np.integer):
        raise DataError(f"labels are {truth.dtype} but must be whole numbers")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise DataError(
            f"labels run from {truth.min()} to {truth.max()} but there are {scores.shape[1]} "
            f"classes: labels must be 0 to {scores.shape[1] - 1}"
        )
    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        raise ModelError(
            f"the model answers {len(broken)} of {len(truth)} pictures with NaN or infinity, "
            f"number {broken[0]} the first: its weights are damaged; train again with a lower "
            "learning rate or --precision fp32"
        )
    return scores, truth.astype(np.int64)


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of the probabilities, shape (N, C), without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax(logits: Floats) -> Floats:
    """Probabilities, shape (N, C); rows sum to 1."""
    return np.asarray(np.exp(log_softmax(logits)))


def ranks(logits: Floats, labels: Integers) -> Integers:
    """How many classes come before the true one, shape (N,); 0 is right.

    Of equal logits the lower class comes first, as with `argmax`.
    """
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1])[None, :] < labels[:, None]
    before: Integers = ((logits > own) | ((logits == own) & earlier)).sum(axis=1).astype(np.int64)
    return before


def top_k_accuracy(logits: Floats, labels: Integers, k: int) -> float:
    """The share of pictures whose class is among the first `k`, 0…1."""
    return float((ranks(logits, labels) < k).mean())


def confusion_matrix(predicted: Integers, labels: Integers, classes: int) -> Integers:
    """Counts of shape (C, C): rows are true classes, columns predicted ones."""
    flat = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassCounts:
    """Figures per class, each of shape (C,); NaN where there is nothing to divide by."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Integers
    predicted: Integers


def per_class(confusion: Integers) -> ClassCounts:
    """Precision, recall and F1 of every class, from counts of shape (C, C).

    F1 is 2·right / (support + predicted): 0 for a class that is never right, NaN for one that
    neither occurs nor is predicted.
    """
    right = confusion.diagonal().astype(np.float64)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return ClassCounts(
        precision=_ratio(right, predicted),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, support + predicted),
        support=support,
        predicted=predicted,
    )


@dataclass(frozen=True)
class Average:
    """Precision, recall and F1 over the classes that have pictures, each 0…1."""

    precision: float
    recall: float
    f1: float


def averages(counts: ClassCounts) -> tuple[Average, Average]:
    """The macro average (every class alike) and the weighted one (every picture alike).

    A class that is never predicted counts with precision 0.
    """
    present = counts.support > 0
    weights = counts.support[present].astype(np.float64)
    columns = [
        np.nan_to_num(column[present]) for column in (counts.precision, counts.recall, counts.f1)
    ]
    macro = Average(*(float(column.mean()) for column in columns))
    weighted = Average(*(float(np.average(column, weights=weights)) for column in columns))
    return macro, weighted


def balanced_accuracy(counts: ClassCounts) -> float:
    """The mean recall over the classes that have pictures, 0…1."""
    return float(counts.recall[counts.support > 0].mean())


def confused_pairs(confusion: Integers, limit: int = 20) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (true, predicted, count), at most `limit`.

    Of equally frequent ones the larger part of its true class comes first.
    """
    mistakes = confusion - np.diag(confusion.diagonal())
    true, predicted = np.nonzero(mistakes)
    counts = mistakes[true, predicted]
    shares = counts / confusion.sum(axis=1)[true]
    order = np.lexsort((predicted, true, -shares, -counts))[:limit]
    return [(int(true[i]), int(predicted[i]), int(counts[i])) for i in order]


def wilson_interval(right: int, total: int, z: float = WILSON_95) -> tuple[float, float]:
    """Where the true share lies, given `right` of `total`; 95 % by default.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Unlike
    the textbook interval it stays within 0…1 and has a width even at 0 and 100 %.

    Raises:
        DataError: `total` is 0 or `right` lies outside 0…`total`.
    """
    if total < 1 or not 0 <= right <= total:
        raise DataError(f"{right} of {total} is no share: give 0 ≤ right ≤ total, total ≥ 1")
    share = right / total
    centre = share + z * z / (2 * total)
    spread = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return float(min(max(low, 0.0), share)), float(max(min(high, 1.0), share))


@dataclass(frozen=True)
class Reliability:
    """Pictures by the confidence of their prediction, in equal bins, each of shape (bins,).

    `confidence` is the mean probability of the predicted class, `accuracy` the share that is
    right; both NaN for an empty bin.
    """

    edges: Floats
    count: Integers
    confidence: Floats
    accuracy: Floats

    @property
    def expected_error(self) -> float:
        """The expected calibration error, 0…1.

        Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3.
        """
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((gaps * self.count).sum() / self.count.sum())


def reliability(
    probabilities: Floats, labels: Integers, bins: int = RELIABILITY_BINS
) -> Reliability:
    """Compare confidence with accuracy, bin by bin; a bin excludes its lower edge."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.int64)
    return Reliability(
        edges=edges,
        count=count,
        confidence=_ratio(np.bincount(place, weights=confidence, minlength=bins), count),
        accuracy=_ratio(np.bincount(place, weights=right, minlength=bins), count),
    )


def losses(logits: Floats, labels: Integers) -> Floats:
    """The negative log-likelihood of each picture's class, in nats, shape (N,)."""
    return np.asarray(-log_softmax(logits)[np.arange(len(labels)), labels])


def brier_score(probabilities: Floats, labels: Integers) -> float:
    """The mean squared distance between the probabilities and the truth, 0…2.

    Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    distance = probabilities.copy()
    distance[np.arange(len(labels)), labels] -= 1
    return float((distance**2).sum(axis=1).mean())


def _ratio(numerator: Floats | Integers, denominator: Integers) -> Floats:
    result = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
