"""A validation loss that stays behind the training loss."""

from __future__ import annotations

from collections.abc import Sequence

from clary.debugger.rules.losses import (
    HOW_TO_GET,
    PassMean,
    has_mode,
    loss_names,
    paired,
    pass_means,
    untrained_loss,
)
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Mode
from clary.rules.rule import Rule
from clary.rules.window import Window

# Learnt by heart: the training loss is under the first part of what it was at the start, and the
# validation loss still over the second one.
_BY_HEART = 0.2
_NOTHING_LEARNT = 0.5
# At a constant learning rate the validation loss of a good training goes up and down by less.
_RISEN = 0.25


class Overfit(Rule):
    """(validation loss - training loss) / training loss is over `ratio_threshold`.

    The losses are means over a pass of validation and the pass of training before it, and the ratio
    must be over it more than `patience` times in a row. Where training and validation have losses
    of different names, the means of all of them are compared. A network that has learnt well has a
    lower loss on pictures it knows, so unless `published_defaults` is asked for, it also takes a
    validation loss that has risen by a quarter over its best, or one over half of an
    untrained network's while the training loss is under a fifth of that.
    """

    parameters_model = rule_parameters.Overfit
    parameters: rule_parameters.Overfit

    def tensors(self, window: Window) -> Sequence[str]:
        """Losses."""
        return loss_names(window, self.parameters.tensor_regex)

    def lacks(self, window: Window) -> Finding | None:
        """Losses of training and of validation."""
        names = self.tensors(window)
        if paired(window, names):
            return None
        missing = [
            mode.name for mode in (Mode.TRAIN, Mode.EVAL) if not has_mode(window, names, mode)
        ]
        return self.note(
            window,
            f"no loss was saved in mode {' and '.join(missing)}",
            remedy=f"{HOW_TO_GET}, and say hook.set_mode(modes.TRAIN) and "
            "hook.set_mode(modes.EVAL) in the script",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each pass of validation that is over now."""
        pairs = paired(window, self.tensors(window))
        found = [one for names in pairs for one in self._of(window, names)]
        return [min(found, key=lambda one: one[0])[1]] if found else []

    def _of(self, window: Window, names: Sequence[str]) -> list[tuple[int, Finding]]:
        ratio_threshold = self.parameters.ratio_threshold
        # What another loss began with tells nothing about this one.
        start = untrained_loss(window, names[0]) if len(names) == 1 else None
        train: PassMean | None = None
        best = float("inf")
        in_a_row = 0
        for seen in pass_means(window, *names):
            if seen.one.mode is Mode.TRAIN:
                train = seen
            if seen.one.mode is not Mode.EVAL or train is None or seen.one.decided is None:
                continue
            ill = _ratio(seen.mean, train.mean) > ratio_threshold and (
                self.parameters.published_defaults
                or seen.mean > best * (1 + max(_RISEN, ratio_threshold))
                or _is_by_heart(train.mean, seen.mean, start)
            )
            in_a_row = in_a_row + 1 if ill else 0
            if in_a_row > self.parameters.patience and window.is_decided_now(seen.one):
                return [(seen.one.decided, self._issue(window, names, seen, train.mean, best))]
            best = min(best, seen.mean)
        return []

    def _issue(
        self, window: Window, names: Sequence[str], seen: PassMean, train: float, best: float
    ) -> Finding:
        name = next(one for one in names if has_mode(window, [one], Mode.EVAL))
        ratio = _ratio(seen.mean, train)
        risen = f", and its best was {best:.4g}" if best < seen.mean else ""
        return self.issue(
            window,
            seen.one.last,
            f"the validation loss {name} is {seen.mean:.4g} and the training loss "
            f"{train:.4g}: {100 * ratio:.0f} % over it, where "
            f"{100 * self.parameters.ratio_threshold:.0f} % may be{risen}",
            tensor=name,
            value=ratio,
            bound=self.parameters.ratio_threshold,
            cause="the network learns the training pictures by heart: there are too few of them, "
            "they vary too little, or it trains too long",
            remedy="add pictures or stronger augmentation, freeze more layers, add weight decay or "
            "dropout, or stop at the best validation loss",
        )


def _ratio(validation: float, train: float) -> float:
    return (validation - train) / max(abs(train), 1e-12)


def _is_by_heart(train: float, validation: float, start: float | None) -> bool:
    if start is None or start <= 0:
        return False
    return train < _BY_HEART * start and validation > _NOTHING_LEARNT * start
