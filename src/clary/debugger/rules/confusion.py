"""Classes that are taken for each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clary.debugger.rules.labels import Counts, class_numbers, confusion
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Mode
from clary.rules.rule import Rule
from clary.rules.window import Window

# Unless `published_defaults` is asked for, classes with fewer samples are not judged.
_ENOUGH = 5


class Confusion(Rule):
    """Of C[label][prediction], a number on the diagonal is too small, or another one too large.

    Fires where C[i][i] is under `min_diag` of its row's sum, or C[j][i] (j != i) over
    `max_off_diag` of its column's sum: a part of the class that is predicted rightly, and a part of
    a predicted class that is another. (The published text divides the diagonal by the diagonal's
    sum, which cannot come near 0.9 with two classes or more.) A step is judged by itself with
    `published_defaults`, a whole pass of validation or the run's last capture without.
    """

    parameters_model = rule_parameters.Confusion
    parameters: rule_parameters.Confusion

    def tensors(self, window: Window) -> Sequence[str]:
        """Labels and predictions."""
        return [name for name in self._pair(window) if name is not None]

    def _pair(self, window: Window) -> tuple[str | None, str | None]:
        chosen = self.parameters
        return (
            _one(window, chosen.labels, chosen.labels_collection),
            _one(window, chosen.predictions, chosen.predictions_collection),
        )

    def lacks(self, window: Window) -> Finding | None:
        """Whole tensors of labels and predictions at the same step."""
        labels, predictions = self._pair(window)
        if labels is not None and predictions is not None:
            both = set(window.captured(labels)) & set(window.captured(predictions))
            if any(class_numbers(window, predictions, step) is not None for step in both):
                return None
        return self.note(
            window,
            f"no {self.parameters.labels!r} and {self.parameters.predictions!r} were saved at the "
            "same step",
            remedy="say hook.save_tensor('labels', labels) and "
            "hook.save_tensor('predictions', predictions) in the script",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Count what was predicted in each new step, or pass that is over now."""
        labels, predictions = self._pair(window)
        if labels is None or predictions is None:
            return []
        for steps in self._groups(window, labels):
            counts = self._count(window, labels, predictions, steps)
            found = None if counts is None else self._worst(counts)
            if found is not None:
                message, value, bound = found
                return [
                    self.issue(
                        window,
                        steps[-1],
                        message,
                        tensor=predictions,
                        value=value,
                        bound=bound,
                        cause="the classes look alike, are labelled inconsistently, or have too "
                        "few pictures",
                        remedy="look at pictures of both classes, check their labels, and add "
                        "pictures of the class",
                    )
                ]
        return []

    def _groups(self, window: Window, labels: str) -> Iterator[Sequence[int]]:
        if self.parameters.published_defaults:
            yield from ([step] for step in window.new(labels))
            return
        for one in window.passes:
            if one.mode in {Mode.EVAL, Mode.PREDICT} and window.is_decided_now(one):
                steps = [step for step in window.captured(labels) if one.first <= step <= one.last]
                if steps:
                    yield steps
        modes = {one.mode for one in window.passes}
        if window.ended and not modes & {Mode.EVAL, Mode.PREDICT}:
            yield window.captured(labels)[-1:]

    def _count(
        self, window: Window, labels: str, predictions: str, steps: Sequence[int]
    ) -> Counts | None:
        pairs = [
            (class_numbers(window, labels, step), class_numbers(window, predictions, step))
            for step in steps
        ]
        known = [
            (label, predicted)
            for label, predicted in pairs
            if label is not None and predicted is not None and len(label) == len(predicted)
        ]
        if not known:
            return None
        return confusion(
            np.concatenate([label for label, _ in known]),
            np.concatenate([predicted for _, predicted in known]),
            self.parameters.category_no or 0,
        )

    def _worst(self, counts: Counts) -> tuple[str, float, float] | None:
        least = 1 if self.parameters.published_defaults else _ENOUGH
        rows, columns = counts.sum(axis=1), counts.sum(axis=0)
        right = np.where(rows >= least, np.diag(counts) / np.maximum(rows, 1), 1.0)
        worst = int(right.argmin())
        if right[worst] < self.parameters.min_diag:
            return (
                f"{100 * right[worst]:.0f} % of the {rows[worst]} samples of class {worst} are "
                f"predicted rightly, under {100 * self.parameters.min_diag:g} %",
                float(right[worst]),
                self.parameters.min_diag,
            )
        part = np.where(columns >= least, counts / np.maximum(columns, 1), 0.0)
        np.fill_diagonal(part, 0.0)
        label, predicted = np.unravel_index(int(part.argmax()), part.shape)
        if part[label, predicted] > self.parameters.max_off_diag:
            return (
                f"{100 * part[label, predicted]:.0f} % of the {columns[predicted]} samples that "
                f"are predicted as class {predicted} are of class {label}, over "
                f"{100 * self.parameters.max_off_diag:g} %",
                float(part[label, predicted]),
                self.parameters.max_off_diag,
            )
        return None


def _one(window: Window, name: str, collection: str) -> str | None:
    if window.captured(name):
        return name
    return next(iter(window.names(collections=(collection,))), None)
