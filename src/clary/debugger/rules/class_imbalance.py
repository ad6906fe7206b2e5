"""Classes of very different sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.debugger.rules.labels import Classes, Counts, class_numbers, confusion
from clary.debugger.rules.scanning import checkpoints
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Mode
from clary.rules.rule import Rule
from clary.rules.window import Window

# Without `published_defaults` a ratio must be over its bound by so many standard errors.
_SURE = 3.0
# A class's mispredictions are judged from so many of its samples on.
_ENOUGH = 10


class ClassImbalance(Rule):
    """After `samples` labels of a mode, two signs.

    The largest class has more than `threshold_imbalance` times as many labels as the smallest, or
    of a class more than `threshold_misprediction` is predicted wrongly. Unless
    `published_defaults` is asked for, the ratio must be certain despite the small number of
    labels, and mispredictions count for a class that is rare (under half of the average) and is
    predicted worse than the others: at the beginning of a training every class is.
    """

    parameters_model = rule_parameters.ClassImbalance
    parameters: rule_parameters.ClassImbalance

    def tensors(self, window: Window) -> Sequence[str]:
        """Labels and predictions."""
        return window.names((*self.parameters.labels_regex, *self.parameters.predictions_regex))

    def _labels(self, window: Window) -> Sequence[str]:
        return window.names(self.parameters.labels_regex)[:1]

    def _predictions(self, window: Window) -> str | None:
        return next(iter(window.names(self.parameters.predictions_regex)), None)

    def lacks(self, window: Window) -> Finding | None:
        """Whole tensors of labels, as many as `samples`."""
        for name in self._labels(window):
            count = sum(len(_labels(window, name, step)) for step in window.captured(name))
            if count >= self.parameters.samples:
                return None
            if count:
                return self.note(
                    window,
                    f"{count} labels were saved, fewer than {self.parameters.samples} (samples)",
                    remedy="save labels more often, or give a smaller `samples`",
                )
        return self.note(
            window,
            f"no labels were saved (looked for {', '.join(self.parameters.labels_regex)})",
            remedy="say hook.save_tensor('labels', labels) and "
            "hook.save_tensor('predictions', predictions) in the script",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Count what was saved up to each new capture."""
        for name in self._labels(window):
            for steps, last in self._looks(window, name):
                if last or window.is_new(steps[-1]):
                    found = self._at(window, name, steps)
                    if found is not None:
                        return [found]
        return []

    def _looks(self, window: Window, name: str) -> Sequence[tuple[Sequence[int], bool]]:
        """Captures of one mode that are judged together, and whether nothing more follows them."""
        looks: list[tuple[Sequence[int], bool]] = []
        for mode in (Mode.TRAIN, Mode.EVAL, Mode.PREDICT, Mode.GLOBAL):
            steps = [step for step in window.captured(name) if window.mode(step) is mode]
            points = {*checkpoints(len(steps)), *([len(steps)] if window.ended and steps else [])}
            looks += [
                (steps[:point], window.ended and point == len(steps)) for point in sorted(points)
            ]
        return sorted(looks, key=lambda look: look[0][-1])

    def _at(self, window: Window, name: str, steps: Sequence[int]) -> Finding | None:
        labels = np.concatenate([_labels(window, name, step) for step in steps])
        if len(labels) < self.parameters.samples:
            return None
        found = self._imbalance(np.bincount(labels))
        if found is None:
            found = self._misprediction(window, name, steps)
        if found is None:
            return None
        return self.issue(
            window,
            steps[-1],
            found.message,
            tensor=name,
            value=found.value,
            bound=found.bound,
            cause="the data set holds far fewer pictures of some classes than of others",
            remedy="add pictures of the rare classes, weight the loss by class "
            "(clary train --class-balance loss), or draw batches evenly (sampler)",
        )

    def _imbalance(self, counts: Counts) -> _Sign | None:
        seen = np.flatnonzero(counts)
        largest, smallest = seen[counts[seen].argmax()], seen[counts[seen].argmin()]
        ratio = float(counts[largest] / counts[smallest])
        bound = self.parameters.threshold_imbalance
        if not self.parameters.published_defaults:
            # The logarithm of a ratio of two counts has about this standard error.
            error = math.sqrt(1 / counts[largest] + 1 / counts[smallest])
            if math.log(ratio) - _SURE * error <= math.log(bound):
                return None
        if ratio <= bound:
            return None
        return _Sign(
            f"class {largest} has {counts[largest]} of {counts.sum()} labels and class {smallest} "
            f"{counts[smallest]}: {ratio:.3g} times as many, over {bound:g}",
            ratio,
            bound,
        )

    def _misprediction(self, window: Window, name: str, steps: Sequence[int]) -> _Sign | None:
        predictions = self._predictions(window)
        if predictions is None:
            return None
        tables = []
        samples = 0
        # The newest ones: what the network was like at first says nothing about it now.
        for step in reversed(steps):
            labels = _labels(window, name, step)
            predicted = class_numbers(window, predictions, step, argmax=self.parameters.argmax)
            if predicted is None or len(predicted) != len(labels):
                continue
            tables.append((labels, predicted))
            samples += len(labels)
            if samples >= self.parameters.samples:
                break
        if samples < self.parameters.samples:
            return None
        counts = confusion(
            np.concatenate([labels for labels, _ in tables]),
            np.concatenate([predicted for _, predicted in tables]),
        )
        of_class = counts.sum(axis=1)
        wrong = np.where(of_class, 1 - np.diag(counts) / np.maximum(of_class, 1), 0.0)
        bound = self.parameters.threshold_misprediction
        candidates = wrong > bound
        if not self.parameters.published_defaults:
            rare = of_class < of_class[of_class > 0].mean() / 2
            overall = 1 - np.diag(counts).sum() / counts.sum()
            candidates &= rare & (of_class >= _ENOUGH) & (overall < bound / 2)
        if not candidates.any():
            return None
        worst = int(np.argmax(np.where(candidates, wrong, -1.0)))
        return _Sign(
            f"{100 * wrong[worst]:.0f} % of the {of_class[worst]} samples of class {worst} are "
            f"predicted wrongly, over {100 * bound:g} %",
            float(wrong[worst]),
            bound,
        )


@dataclass(frozen=True)
class _Sign:
    message: str
    value: float
    bound: float


def _labels(window: Window, name: str, step: int) -> Classes:
    labels = class_numbers(window, name, step)
    return np.zeros(0, dtype=np.int64) if labels is None else labels
