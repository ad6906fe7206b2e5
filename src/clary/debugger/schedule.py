"""When a hook captures: SageMaker's save semantics, per mode.

A step is captured when `start ≤ step < end` and the step is a multiple of `interval`, or when it
is one of `steps`. Steps count from 0 within their mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clary.debugger.parameters import step_list, step_number
from clary.errors import UsageError
from clary.formats.tensor_log.entries import Mode

DEFAULT_INTERVAL = 500
# What stands before the dot in SageMaker's parameters.
MODE_PREFIXES = {
    "train": Mode.TRAIN,
    "eval": Mode.EVAL,
    "predict": Mode.PREDICT,
    "global": Mode.GLOBAL,
}
PARAMETERS = ("save_interval", "save_steps", "start_step", "end_step")


@dataclass(frozen=True)
class Window:
    """The steps of one mode that are captured.

    Raises:
        UsageError: a bound is no number of steps.
    """

    interval: int = DEFAULT_INTERVAL
    start: int = 0
    end: int | None = None
    steps: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        steps = frozenset(step_number("steps", step) for step in self.steps)
        object.__setattr__(self, "interval", step_number("interval", self.interval, least=1))
        object.__setattr__(self, "start", step_number("start", self.start))
        if self.end is not None:
            object.__setattr__(self, "end", step_number("end", self.end))
        object.__setattr__(self, "steps", steps)

    def due(self, step: int) -> bool:
        """Whether a step, counted from 0 in its mode, is captured."""
        if step in self.steps:
            return True
        within = step >= self.start and (self.end is None or step < self.end)
        return within and step % self.interval == 0

    def changed(self, parameters: Mapping[str, str]) -> Window:
        """With what SageMaker's parameters say, such as `save_interval`; the rest stays.

        Raises:
            UsageError: a value is not a number of steps.
        """
        window = self
        if "save_interval" in parameters:
            interval = step_number("save_interval", parameters["save_interval"], least=1)
            window = replace(window, interval=interval)
        if "start_step" in parameters:
            window = replace(window, start=step_number("start_step", parameters["start_step"]))
        if "end_step" in parameters:
            window = replace(window, end=step_number("end_step", parameters["end_step"]))
        if "save_steps" in parameters:
            steps = step_list("save_steps", parameters["save_steps"])
            window = replace(window, steps=frozenset(steps))
        return window


@dataclass(frozen=True)
class Schedule:
    """When something is captured: one window for all modes, and windows of their own for some.

    Args:
        interval: every so many steps, at least 1.
        start: the first step, from 0.
        end: the step before which it ends; None never.
        steps: captured too, whatever the others say.
        modes: takes the place of the four above in some modes.

    Raises:
        UsageError: a bound is no number of steps, or a mode has something else than a window.
    """

    interval: int = DEFAULT_INTERVAL
    start: int = 0
    end: int | None = None
    steps: frozenset[int] = frozenset()
    modes: Mapping[Mode, Window] = field(default_factory=dict)
    _general: Window = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        general = Window(self.interval, self.start, self.end, self.steps)
        for name in ("interval", "start", "end", "steps"):
            object.__setattr__(self, name, getattr(general, name))
        for mode, window in self.modes.items():
            if not (isinstance(mode, Mode) and isinstance(window, Window)):
                raise UsageError(f"modes has {mode!r}: {window!r}: give a Window for each Mode")
        object.__setattr__(self, "_general", general)

    def window(self, mode: Mode) -> Window:
        """What holds in a mode."""
        return self.modes.get(mode, self._general)

    def due(self, mode: Mode, step: int) -> bool:
        """Whether a mode's step, counted from 0 in it, is captured."""
        return self.window(mode).due(step)

    def changed(self, parameters: Mapping[str, str]) -> Schedule:
        """With what SageMaker's parameters say; what they leave out is inherited.

        A parameter with a mode before it (`train.save_interval`) beats one without.

        Raises:
            UsageError: a value is not a number of steps.
        """
        general = {name: parameters[name] for name in PARAMETERS if name in parameters}
        modes = {mode: window.changed(general) for mode, window in self.modes.items()}
        common = self._general.changed(general)
        for prefix, mode in MODE_PREFIXES.items():
            own = {
                name: parameters[f"{prefix}.{name}"]
                for name in PARAMETERS
                if f"{prefix}.{name}" in parameters
            }
            if own:
                modes[mode] = modes.get(mode, common).changed(own)
        return Schedule(common.interval, common.start, common.end, common.steps, modes)
