"""Counts forward passes, over all modes and in each; goes on with what a log holds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from clary.formats.tensor_log import TensorLog, read_passes
from clary.formats.tensor_log.entries import Mode, Step


class StepCounter:
    """Owned by a hook.

    Args:
        folder: of the log; where steps were counted already, as in a job that is resumed, the
            first one comes after them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps: dict[Mode, int] = dict.fromkeys(Mode, -1)
        self.step: Step | None = None

    @property
    def steps(self) -> Mapping[Mode, int]:
        """Where each mode is; -1 before its first step."""
        return dict(self._steps)

    def go_on(self) -> None:
        """Begin after the passes that were counted, and the steps that the log holds.

        Of a hook that was killed the last two or three seconds' passes are not known, but for
        those that were captured.
        """
        if not self._folder.exists():
            return
        self._steps.update(read_passes(self._folder))
        log = TensorLog(self._folder)
        for mode in Mode:
            known = log.steps(mode)
            if known:
                last = known[-1]
                captured = last.number if mode == Mode.GLOBAL else last.mode_step
                self._steps[mode] = max(self._steps[mode], captured)

    def next(self, mode: Mode) -> Step:
        """A forward pass begins."""
        self._steps[Mode.GLOBAL] += 1
        if mode != Mode.GLOBAL:
            self._steps[mode] += 1
        self.step = Step(self._steps[Mode.GLOBAL], mode, self._steps[mode], time.time())
        return self.step
