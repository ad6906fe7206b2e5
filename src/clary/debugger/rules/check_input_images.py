"""Pictures that were not normalised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clary.debugger.rules.activation_units import with_units
from clary.debugger.rules.scanning import checkpoints
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window

# At the end of a short training fewer pictures will do, if the mean is certain: so many, and so
# many standard errors.
_FEW = 32
_SURE = 4.0


class CheckInputImages(Rule):
    """The mean of a channel over `threshold_samples` pictures is further from 0 than
    `threshold_mean`.

    With the regular expression left as published, every tensor counts of which the hook has kept
    the means of each picture's channels: the network's input.
    """

    parameters_model = rule_parameters.CheckInputImages
    parameters: rule_parameters.CheckInputImages

    def tensors(self, window: Window) -> Sequence[str]:
        """Inputs of the network."""
        names = set(window.names(self.parameters.regex))
        if "regex" not in self.parameters.model_fields_set:
            names.update(with_units(window, "channel_means"))
        return sorted(names)

    def _means(self, window: Window, name: str, step: int) -> npt.NDArray[np.float64] | None:
        """Of each picture's channels (N, C)."""
        units = window.units(name, "channel_means", step)
        if units is not None and units.ndim == 2 and self.parameters.channel == 1:
            return units.astype(np.float64)
        tensor = window.raw(name, step)
        if tensor is None or tensor.ndim != 4:
            return None
        axes = tuple(axis for axis in (1, 2, 3) if axis != self.parameters.channel)
        return np.asarray(tensor.mean(axis=axes, dtype=np.float64))

    def _collected(
        self, window: Window, name: str, steps: Sequence[int]
    ) -> npt.NDArray[np.float64] | None:
        known = [self._means(window, name, step) for step in steps]
        means = [one for one in known if one is not None]
        if not means or any(one.shape[1] != means[0].shape[1] for one in means):
            return None
        return np.concatenate(means)

    def lacks(self, window: Window) -> Finding | None:
        """Enough pictures."""
        found = 0
        for name in self.tensors(window):
            means = self._collected(window, name, window.captured(name))
            found = max(found, 0 if means is None else len(means))
        enough = self.parameters.threshold_samples
        if found >= min(enough, enough if self.parameters.published_defaults else _FEW):
            return None
        return self.note(
            window,
            f"{found} pictures were saved, fewer than {enough} (threshold_samples)"
            if found
            else f"no input was saved (looked for {', '.join(self.parameters.regex)})",
            remedy="add a collection with include_regex '<class of the network>_input_0' to "
            "DebugHookConfig and give its name as `regex`, with a save_interval that collects "
            f"{enough} pictures",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Take the means of the pictures up to each new capture."""
        for name in self.tensors(window):
            steps = window.captured(name)
            looks = set(checkpoints(len(steps)))
            for place, step in enumerate(steps):
                last = window.ended and place + 1 == len(steps)
                if not last and (place + 1 not in looks or not window.is_new(step)):
                    continue
                means = self._collected(window, name, steps[: place + 1])
                if means is None or not self._is_off(means, last=last):
                    continue
                return [self._issue(window, name, step, means)]
        return []

    def _is_off(self, means: npt.NDArray[np.float64], *, last: bool) -> bool:
        away = np.abs(means.mean(axis=0))
        if len(means) >= self.parameters.threshold_samples:
            return bool((away > self.parameters.threshold_mean).any())
        if self.parameters.published_defaults or not last or len(means) < _FEW:
            return False
        error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
        return bool((away - _SURE * error > self.parameters.threshold_mean).any())

    def _issue(
        self, window: Window, name: str, step: int, means: npt.NDArray[np.float64]
    ) -> Finding:
        average = means.mean(axis=0)
        worst = int(np.abs(average).argmax())
        bound = self.parameters.threshold_mean
        return self.issue(
            window,
            step,
            f"channel {worst} of {name} has a mean of {average[worst]:.3g} over {len(means)} "
            f"pictures, further from 0 than {bound:g}",
            tensor=name,
            value=float(abs(average[worst])),
            bound=bound,
            cause="the pictures were not normalised: their mean was not taken off",
            remedy="subtract the mean and divide by the standard deviation of each channel "
            "(torchvision.transforms.Normalize), as the pretrained weights expect",
        )
