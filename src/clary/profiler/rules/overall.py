"""Rules that never fire: tables of the machine and of the training, for the report."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from clary.formats import profiler_rule_parameters as models
from clary.formats.timeline.entries import Mode
from clary.profiler import readings
from clary.profiler.causes.situation import situation_of
from clary.profiler.profile import Host, Profile
from clary.profiler.readings import Samples
from clary.profiler.rules.judging import nothing_sampled, quantiles
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule

_LISTED = 20


class OverallSystemUsage(ProfilerRule):
    """How much each host's machine was used; it never fires."""

    parameters_model = models.OverallSystemUsage
    description: ClassVar[str] = "Says how much the machine of each host was used."
    recommendation: ClassVar[str] = "Take a smaller machine where all of it is little used."

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """Host by host, over the whole job."""
        figures = {host.name: _usage(host) for host in profile.hosts}
        datapoints = sum(len(readings.cpu(host).values) for host in profile.hosts)
        if not datapoints:
            return nothing_sampled(self.name, moment, "no machine was sampled")
        return Judgement(0, datapoints, (), figures)


class OverallFrameworkMetrics(ProfilerRule):
    """What the time of the training was spent on; it never fires."""

    parameters_model = models.OverallFrameworkMetrics
    description: ClassVar[str] = "Says what the time of the training was spent on."
    recommendation: ClassVar[str] = (
        "Evaluate and save less often where that takes more than a quarter of the loop."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """Of the first process of the training."""
        parts = situation_of(profile).breakdown
        steps = parts.steps + int(profile.steps(Mode.EVAL)["merged"].sum())
        if not steps:
            return nothing_sampled(self.name, moment, "no step was seen")
        main = profile.main
        windows = () if main is None else main.operators
        figures: dict[str, Any] = {
            "initialization_s": parts.initialization_s,
            "loop_s": parts.loop_s,
            "finalization_s": parts.finalization_s,
            "training_s": parts.steps_s,
            "evaluation_s": parts.evaluation_s,
            "checkpoint_s": parts.checkpoint_s,
            "features_s": parts.features_s,
            "other_s": parts.other_s,
            "phases_s": dict(parts.phases_s),
            "device_s": dict(parts.device_s),
            "steps": parts.steps,
            "step_s": parts.step_s,
            "pictures_per_s": parts.pictures_per_s,
            "operators": [
                {
                    "name": one.name,
                    "calls": one.calls,
                    "cpu_self_s": one.cpu_self_s,
                    "device_self_s": one.device_self_s,
                }
                for window in windows
                for one in window.operators[:_LISTED]
            ],
        }
        return Judgement(0, steps, (), figures)


def _usage(host: Host) -> dict[str, dict[str, Any]]:
    series: dict[str, tuple[str, Samples]] = {
        "CPU": ("percent", readings.cpu(host)),
        "I/O wait": ("percent", readings.io_wait(host)),
        "Memory": ("percent", readings.memory(host)),
        "GPU": ("percent", readings.mean_of(readings.gpus(host))),
        "GPU memory": ("percent", readings.mean_of(readings.gpu_memory(host))),
        "Network": ("bytes a second", _sum(readings.all_samples(host, "Algorithm"))),
        "Job CPU": ("percent of a core", readings.samples(host, "Process", "CPUUtilization")),
        "Job memory": ("bytes", readings.resident(host)),
    }
    return {
        name: {"unit": unit, **quantiles(samples.values)}
        for name, (unit, samples) in series.items()
        if len(samples.values)
    }


def _sum(series: dict[str, Samples]) -> Samples:
    """Sent and received together, of each snapshot."""
    if not series:
        return readings.NOTHING
    mean = readings.mean_of(series)
    return Samples(mean.times, np.asarray(mean.values * len(series)))
