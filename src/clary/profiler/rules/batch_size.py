"""Whether a larger batch would fit."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import numpy as np

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.profiler import readings
from clary.profiler.causes.idle import unused_gpu
from clary.profiler.causes.situation import situation_of
from clary.profiler.diagnosis import diagnose
from clary.profiler.profile import Host, Profile
from clary.profiler.rules.judging import (
    LEAST_SAMPLES,
    Scope,
    gpus_of_job,
    nothing_sampled,
    of_diagnoses,
    quantiles,
    scope_of,
)
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule

_OTHERWISE = ("data_loading", "own_code")
"""Causes of an idle GPU that a larger batch leaves as they are."""


class BatchSize(ProfilerRule):
    """Processor, GPU and GPU memory are all little used: a larger batch would fit.

    Each window of the training loop, GPU by GPU: the 95th percentiles of the processor, of the
    GPU and of its memory are all under their thresholds. Without a GPU those thresholds say
    nothing (a processor is shared with others); there, and beside them, it fires where what a step
    costs at any batch size takes a good part of the loop, or where the processor idles for no
    other reason (`clary.profiler.causes.small_batches`, `idle`). Where the steps wait for data or
    for the script itself, a larger batch changes nothing: it says nothing of GPUs then.
    """

    parameters_model = models.BatchSize
    parameters: models.BatchSize
    description: ClassVar[str] = "Looks for machines that could take a larger batch at a time."
    recommendation: ClassVar[str] = (
        "Take larger batches and a learning rate to fit, or a smaller machine."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """GPU by GPU, window by window."""
        own = self.parameters
        scope = scope_of(
            profile,
            moment,
            patience=own.patience,
            window=own.window,
            published=own.published_defaults,
        )
        if scope is None:
            return Judgement()
        triggered = datapoints = 0
        findings: list[Finding] = []
        figures: dict[str, dict[str, dict[str, float]]] = {}
        for host in profile.hosts:
            values = readings.cpu(host, scope.stretch).values
            datapoints += len(values)
            figures[host.name] = {"cpu": quantiles(values)}
            candidates = self._candidates(profile, host, scope)
            for name, memory in readings.gpu_memory(host, scope.stretch).items():
                figures[host.name][f"{name} memory"] = quantiles(memory.values)
                if name not in candidates:
                    continue
                fired = [one for one in scope.windows() if self._is_little(host, name, one)]
                triggered += len(fired)
                if fired:
                    findings.append(self._finding(f"{host.name}/{name}", scope, fired))
        if not datapoints:
            return nothing_sampled(self.name, moment, "no machine was sampled")
        if not own.published_defaults:
            causes = of_diagnoses(profile, self.name)
            triggered += len(causes)
            findings = [*causes, *findings]
        return Judgement(triggered, datapoints, tuple(findings), {"nodes": figures})

    def _candidates(self, profile: Profile, host: Host, scope: Scope) -> Collection[str]:
        """The GPUs that a larger batch could fill."""
        if self.parameters.published_defaults:
            return readings.gpu_memory(host, scope.stretch)
        found = diagnose(profile)
        if any(one.cause in _OTHERWISE for one in found) or unused_gpu(situation_of(profile)):
            return ()
        return gpus_of_job(host, scope.stretch)

    def _is_little(self, host: Host, gpu: str, window: tuple[float, float]) -> bool:
        own = self.parameters
        limits = (
            (readings.cpu(host, window), own.cpu_threshold_p95),
            (readings.samples(host, "GPUUtilization", gpu, window), own.gpu_threshold_p95),
            (
                readings.samples(host, "GPUMemoryUtilization", gpu, window),
                own.gpu_memory_threshold_p95,
            ),
        )
        return all(
            len(samples.values) >= LEAST_SAMPLES and np.percentile(samples.values, 95) < limit
            for samples, limit in limits
        )

    def _finding(self, place: str, scope: Scope, fired: list[tuple[float, float]]) -> Finding:
        own = self.parameters
        return Finding(
            rule=self.name,
            kind="issue",
            message=f"processor, {place} and its memory are all little used: their 95th "
            f"percentiles are under {own.cpu_threshold_p95:g}, {own.gpu_threshold_p95:g} and "
            f"{own.gpu_memory_threshold_p95:g} %, {scope.when_fired(fired)}",
            cause="the batch is smaller than the machine could take",
            remedy="take larger batches and a learning rate to fit, or a smaller machine",
            worker=place,
            value=float(len(fired)),
            bound=0.0,
        )
