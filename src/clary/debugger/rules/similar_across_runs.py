"""Tensors that differ from those of another run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clary.debugger.rules.comparing import as_numbers, close_statistics
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.source import Source
from clary.rules.window import Window

# What numpy.allclose takes for equal.
_RTOL = 1e-5
_ATOL = 1e-8


class SimilarAcrossRuns(Rule):
    """A tensor differs from that of another run at the same step, as `numpy.allclose` has it."""

    parameters_model = rule_parameters.SimilarAcrossRuns
    parameters: rule_parameters.SimilarAcrossRuns

    def tensors(self, window: Window) -> Sequence[str]:
        """Those that the parameters name; every one where they name none."""
        chosen = self.parameters
        return window.names(chosen.tensor_regex or (), chosen.collection_names or ())

    def lacks(self, window: Window) -> Finding | None:
        """A tensor that both runs have saved at the same step."""
        if not window.others:
            return self.note(
                window,
                "there is no other run to compare with",
                remedy="give the tensors of another job as other_trials_s3_input_paths of the rule",
            )
        for name in self.tensors(window):
            for other in window.others:
                if set(window.captured(name)) & set(other.captured(name)):
                    return None
        return self.note(
            window,
            "the two runs have saved no tensor at the same step",
            remedy="use the same DebugHookConfig for both",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Compare each new tensor with those of the other runs."""

        def measure(name: str, step: int) -> tuple[float, float] | None:
            for other in window.others:
                if step not in other.captured(name):
                    continue
                distance = _distance(window, other, name, step)
                if distance is not None:
                    return distance, 0.0
            return None

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        if found is None:
            return []
        return [
            self.issue(
                window,
                found.step,
                f"{found.name} differs from the other run by up to {found.value:.3g} (rtol "
                f"{_RTOL:g}, atol {_ATOL:g}){found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=0.0,
                cause="another seed, other data or hyperparameters, or operations whose order is "
                "not fixed",
                remedy="set the same seeds and use torch.use_deterministic_algorithms(True) where "
                "the runs should be alike",
            )
        ]


def _distance(window: Window, other: Source, name: str, step: int) -> float | None:
    """How far the tensors are apart where they differ; None where they are close."""
    mine, theirs = window.raw(name, step), other.raw(name, step)
    if mine is not None and theirs is not None:
        if mine.shape != theirs.shape:
            return float("inf")
        first, second = as_numbers(mine), as_numbers(theirs)
        if np.allclose(first, second, rtol=_RTOL, atol=_ATOL, equal_nan=True):
            return None
        apart = np.abs(np.subtract(first, second, dtype=np.float64))
        return float(np.nanmax(apart)) if np.isfinite(apart).any() else float("inf")
    statistics, others = window.statistics(name, step), other.statistics(name, step)
    if statistics is None or others is None:
        return None
    if close_statistics(statistics, others, rtol=_RTOL, atol=_ATOL, equal_nan=True):
        return None
    means = statistics.mean, others.mean
    return float("inf") if None in means else abs((means[0] or 0.0) - (means[1] or 0.0))
