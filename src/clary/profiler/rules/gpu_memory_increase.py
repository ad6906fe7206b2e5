"""Whether memory grows while a job trains."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.formats.profiler_rule_parameters import SAMPLE_S
from clary.profiler import readings
from clary.profiler.causes.memory_leak import HOLDS
from clary.profiler.profile import Profile
from clary.profiler.readings import Samples
from clary.profiler.rules.judging import nothing_sampled, of_diagnoses, quantiles, scope_of
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule

_WARMING = 0.25


class GPUMemoryIncrease(ProfilerRule):
    """The moving average of a GPU's memory in use rises by more than `increase` points.

    The average is over `window` half seconds; it is compared with its lowest value so far in the
    training loop, whose first quarter is left out: allocators fill then. With a GPU or without one
    it fires, too, where the job's own memory or a GPU's grows steadily
    (`clary.profiler.causes.memory_leak`).
    """

    parameters_model = models.GPUMemoryIncrease
    parameters: models.GPUMemoryIncrease
    description: ClassVar[str] = "Looks for memory, a GPU's or the job's, that grows and grows."
    recommendation: ClassVar[str] = (
        "See what keeps tensors from step to step, such as a list of losses that were not "
        "detached; or take smaller batches."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """GPU by GPU."""
        own = self.parameters
        scope = scope_of(profile, moment, patience=own.patience, published=own.published_defaults)
        if scope is None:
            return Judgement()
        begin = scope.begin_s
        if not own.published_defaults:
            begin += _WARMING * (scope.end_s - scope.begin_s)
        stretch = (begin, scope.end_s)
        triggered = datapoints = 0
        findings: list[Finding] = []
        figures: dict[str, dict[str, float]] = {}
        for host in profile.hosts:
            resident = readings.resident(host, stretch)
            datapoints += len(resident.values)
            if len(resident.values):
                figures[f"{host.name}/job, bytes"] = quantiles(resident.values)
            for name, samples in readings.gpu_memory(host, stretch).items():
                place = f"{host.name}/{name}"
                datapoints += len(samples.values)
                figures[place] = quantiles(samples.values)
                rises = _rises(samples, own.window)
                over = rises > own.increase
                triggered += int(over.sum())
                if over.any():
                    findings.append(
                        Finding(
                            rule=self.name,
                            kind="issue",
                            message=f"the memory of {place} in use rose by {rises.max():.1f} "
                            f"points, more than {own.increase:g}, {scope.when(stretch)}",
                            cause="something keeps what each step makes, or batches grow",
                            remedy=HOLDS,
                            worker=place,
                            value=round(float(rises.max()), 2),
                            bound=own.increase,
                        )
                    )
        if not datapoints:
            return nothing_sampled(self.name, moment, "no memory was sampled")
        if not own.published_defaults and not findings:
            findings = list(of_diagnoses(profile, self.name))
            triggered += len(findings)
        return Judgement(triggered, datapoints, tuple(findings), {"memory": figures})


def _rises(samples: Samples, window: int) -> np.ndarray:
    """By how much the moving average is over its lowest value before, at each sample."""
    if len(samples.times) < 2:
        return np.zeros(0)
    interval = max(1e-3, float(np.median(np.diff(samples.times))))
    width = min(len(samples.times), max(1, round(window * SAMPLE_S / interval)))
    averages = np.convolve(samples.values, np.ones(width) / width, mode="valid")
    return averages - np.minimum.accumulate(averages)
