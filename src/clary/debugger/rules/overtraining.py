"""A training that goes on without getting better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clary.debugger.rules.losses import HOW_TO_GET, has_mode, loss_names, pass_means
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Mode
from clary.rules.rule import Rule
from clary.rules.window import Window

# Of its best, a loss under ten times `delta` must fall by so much.
_PART = 0.1


class Overtraining(Rule):
    """A loss has not fallen by `delta` under its best for so long.

    The training loss for `patience_train`, the validation loss for `patience_validation`: saved
    steps with `published_defaults`, where the noise between two batches counts as no progress, and
    passes over the data without, by their means; there a tenth of the best will do where that is
    less.
    """

    parameters_model = rule_parameters.Overtraining
    parameters: rule_parameters.Overtraining

    def tensors(self, window: Window) -> Sequence[str]:
        """Losses."""
        return loss_names(window)

    def lacks(self, window: Window) -> Finding | None:
        """Losses of training and of validation."""
        names = self.tensors(window)
        missing = [
            mode.name for mode in (Mode.TRAIN, Mode.EVAL) if not has_mode(window, names, mode)
        ]
        if not missing or (self.parameters.published_defaults and len(missing) == 1):
            return None
        return self.note(
            window,
            f"no loss was saved in mode {' and '.join(missing)}, so that there are no epochs to "
            "compare",
            remedy=f"{HOW_TO_GET}, and say hook.set_mode(modes.TRAIN) and "
            "hook.set_mode(modes.EVAL) in the script",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new loss, or each pass that is over now."""
        found = [
            one
            for name in self.tensors(window)
            for mode, patience in (
                (Mode.TRAIN, self.parameters.patience_train),
                (Mode.EVAL, self.parameters.patience_validation),
            )
            for one in self._of(window, name, mode, patience)
        ]
        return [min(found, key=lambda one: one[0])[1]] if found else []

    def _of(
        self, window: Window, name: str, mode: Mode, patience: int
    ) -> list[tuple[int, Finding]]:
        best: float | None = None
        waited = 0
        for step, decided, value, is_new in self._values(window, name, mode):
            if best is None or value <= best - self._delta(best):
                best, waited = value, 0
                continue
            waited += 1
            if waited >= patience and is_new:
                return [(decided, self._issue(window, step, name, mode, (best, waited)))]
        return []

    def _delta(self, best: float) -> float:
        """By how much a loss must fall under its best: a small one cannot fall by much."""
        delta = self.parameters.delta
        return delta if self.parameters.published_defaults else min(delta, _PART * abs(best))

    def _values(
        self, window: Window, name: str, mode: Mode
    ) -> Iterator[tuple[int, int, float, bool]]:
        if self.parameters.published_defaults:
            series = window.series(name, mode)
            for step, value in zip(series.steps.tolist(), series.values.tolist(), strict=True):
                yield step, step, value, window.is_new(step)
            return
        for seen in pass_means(window, name):
            if seen.one.mode is mode and seen.one.decided is not None:
                is_new = window.is_decided_now(seen.one)
                yield seen.one.last, seen.one.decided, seen.mean, is_new

    def _issue(
        self, window: Window, step: int, name: str, mode: Mode, wait: tuple[float, int]
    ) -> Finding:
        best, waited = wait
        what = "training" if mode is Mode.TRAIN else "validation"
        unit = "saved steps" if self.parameters.published_defaults else "passes"
        return self.issue(
            window,
            step,
            f"the {what} loss {name} has not fallen by {self._delta(best):.3g} under its best, "
            f"{best:.4g}, for {waited} {unit}",
            tensor=name,
            value=float(waited),
            bound=float(
                self.parameters.patience_train
                if mode is Mode.TRAIN
                else self.parameters.patience_validation
            ),
            cause="the network has learnt what it can from these pictures at this learning rate",
            remedy="stop earlier (early stopping, fewer epochs), lower the learning rate on a "
            "plateau, or start from the checkpoint with the best validation loss",
        )
