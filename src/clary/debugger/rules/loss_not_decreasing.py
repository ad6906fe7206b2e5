"""A loss that does not fall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clary.debugger.rules.loss_trend import rising, stagnating, unlearnt
from clary.debugger.rules.losses import HOW_TO_GET, loss_names
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Mode
from clary.rules.rule import Rule
from clary.rules.source import Series
from clary.rules.window import Window


class LossNotDecreasing(Rule):
    """A loss has not fallen enough.

    With `published_defaults` every `num_steps` steps the loss is compared with the newest one that
    is at least `num_steps` older: it must have fallen by `diff_percent`, or risen by no more than
    `increase_threshold_percent`. Between single batches that is mostly noise, and at the end of a
    good training it is expected; so without, the rule asks of averages whether the loss

    - has not fallen since the start (`loss_trend.stagnating`),
    - rises, or is no number (`loss_trend.rising`),
    - is no better in validation than an untrained network's (`loss_trend.unlearnt`).
    """

    parameters_model = rule_parameters.LossNotDecreasing
    parameters: rule_parameters.LossNotDecreasing

    def tensors(self, window: Window) -> Sequence[str]:
        """Losses, and what the parameters name."""
        chosen = self.parameters
        names: set[str] = set()
        if chosen.use_losses_collection:
            names.update(loss_names(window))
        if chosen.tensor_regex or chosen.collection_names:
            names.update(window.names(chosen.tensor_regex or (), chosen.collection_names or ()))
        return sorted(names)

    def lacks(self, window: Window) -> Finding | None:
        """Losses at two steps that are `num_steps` apart."""
        needed = self.parameters.num_steps
        captured = [window.captured(name) for name in self.tensors(window)]
        if not captured:
            return self.note(window, "no loss was saved", remedy=HOW_TO_GET)
        apart = max(steps[-1] - steps[0] for steps in captured)
        if apart >= needed:
            return None
        return self.note(
            window,
            f"the training was too short for it: of the {needed} steps that must lie between two "
            f"losses (num_steps) there were {apart}",
            remedy="train for longer, or give a smaller num_steps, or the collection `losses` a "
            "smaller save_interval",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Compare each new loss with earlier ones."""
        find = self._as_published if self.parameters.published_defaults else self._by_trend
        found = [one for name in self.tensors(window) for one in find(window, name)]
        return [min(found, key=lambda one: one[0])[1]] if found else []

    def _by_trend(self, window: Window, name: str) -> Iterator[tuple[int, Finding]]:
        chosen = self.parameters
        explicit = "diff_percent" in chosen.model_fields_set
        trends = []
        if chosen.mode != "EVAL":
            trends += [
                stagnating(window, name, chosen, chosen.diff_percent if explicit else None),
                rising(window, name, chosen),
            ]
        if chosen.mode != "TRAIN":
            trends.append(unlearnt(window, name))
        for trend in trends:
            if trend is not None:
                yield (
                    trend.decided,
                    self.issue(
                        window,
                        trend.step,
                        trend.message,
                        tensor=name,
                        value=trend.value,
                        bound=trend.bound,
                        cause=trend.cause,
                        remedy=trend.remedy,
                    ),
                )

    def _as_published(self, window: Window, name: str) -> Iterator[tuple[int, Finding]]:
        for mode, series in self._of_modes(window, name):
            for earlier, later in comparisons(series, self.parameters.num_steps):
                before, now = float(series.values[earlier]), float(series.values[later])
                step = int(series.steps[later])
                fall = 100.0 * (before - now) / max(abs(before), 1e-30)
                if not window.is_new(step) or self._is_enough(fall):
                    continue
                moved = f"risen by {-fall:.3g} %" if fall < 0 else f"fallen by {fall:.3g} %"
                yield (
                    step,
                    self.issue(
                        window,
                        step,
                        f"{name} ({mode.name}) has {moved} to {now:.4g} since step "
                        f"{series.steps[earlier]}, where it must fall by "
                        f"{self.parameters.diff_percent:g} %",
                        tensor=name,
                        value=fall,
                        bound=self.parameters.diff_percent,
                        cause="a learning rate that is too high or too low, labels that do not "
                        "fit the pictures, or a training that has converged",
                        remedy="try a learning rate ten times lower and ten times higher, and "
                        "check the labels",
                    ),
                )
                break

    def _is_enough(self, fall: float) -> bool:
        """Whether a loss that fell by so many percent (or rose, if negative) is well. NaN: no."""
        if fall < 0:
            return fall >= -self.parameters.increase_threshold_percent
        return fall >= self.parameters.diff_percent

    def _of_modes(self, window: Window, name: str) -> Iterator[tuple[Mode, Series]]:
        """The series to compare. With no mode asked for, validation counts once there is any."""
        if self.parameters.mode is not None:
            mode = Mode[self.parameters.mode]
            yield mode, window.series(name, mode)
            return
        evaluation, training = window.series(name, Mode.EVAL), window.series(name, Mode.TRAIN)
        first_evaluation = _first(evaluation, window.until + 1)
        first_of_any = min(first_evaluation, _first(training, window.until + 1))
        yield Mode.EVAL, evaluation
        yield Mode.TRAIN, training.between(window.first, first_evaluation - 1)
        yield Mode.GLOBAL, window.series(name).between(window.first, first_of_any - 1)


def _first(series: Series, otherwise: int) -> int:
    return int(series.steps[0]) if len(series) else otherwise


def comparisons(series: Series, num_steps: int) -> Iterator[tuple[int, int]]:
    """Places of the values to compare: an earlier and a later one.

    The later one is at least `num_steps` after the later one before it (the first: after the first
    value), the earlier one is the newest that is at least `num_steps` older.
    """
    if not len(series):
        return
    last = int(series.steps[0])
    for later in range(1, len(series)):
        step = int(series.steps[later])
        if step - last < num_steps:
            continue
        earlier = int(series.steps.searchsorted(step - num_steps, side="right")) - 1
        yield earlier, later
        last = step
