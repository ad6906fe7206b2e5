"""Rules that look for what the device waits for: the processor, or a disk."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.profiler import readings
from clary.profiler.causes.data_loading import WAITS_SHARE
from clary.profiler.causes.situation import situation_of
from clary.profiler.profile import Host, Profile
from clary.profiler.readings import Samples, Stretch
from clary.profiler.rules.judging import (
    LEAST_SAMPLES,
    TRAINING,
    Scope,
    nothing_sampled,
    scope_of,
    use_of_devices,
    why,
)
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule
from clary.profiler.wording import percent


class _Bottleneck(ProfilerRule):
    """Something is busy while a device is idle, for more than `threshold` % of the loop's samples.

    Without a GPU the training step stands for it: it is idle while it waits for its data.
    """

    parameters: models.CPUBottleneck | models.IOBottleneck
    busy: ClassVar[str] = ""
    """What is seen, in words."""
    usual_cause: ClassVar[str] = ""

    @property
    @abstractmethod
    def bound(self) -> float:
        """Busy is what is over it, in percent."""

    @abstractmethod
    def load(self, host: Host, stretch: Stretch) -> Samples:
        """How busy it is, in percent."""

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """Host by host, device by device."""
        own = self.parameters
        scope = scope_of(profile, moment, patience=own.patience, published=own.published_defaults)
        if scope is None:
            return Judgement()
        datapoints = triggered = 0
        findings: list[Finding] = []
        figures: dict[str, dict[str, float]] = {}
        for host in profile.hosts:
            load = self.load(host, scope.stretch)
            if len(load.times) < LEAST_SAMPLES:
                continue
            for name, use in use_of_devices(host, scope.stretch, load.times).items():
                values = load.at(use.times)
                idle = use.values < own.gpu_threshold
                held = idle & (values > self.bound)
                share = 100 * float(held.mean())
                datapoints += len(held)
                place = f"{host.name}/{name}"
                figures[place] = {
                    "bottlenecks_percent": share,
                    "idle_percent": 100 * float(idle.mean()),
                    "mean_percent": float(values.mean()),
                }
                if share > own.threshold:
                    triggered += int(held.sum())
                    findings.append(self._finding(profile, place, share, scope))
        if not datapoints:
            what = "neither a GPU nor training steps were seen"
            return nothing_sampled(self.name, moment, what)
        return Judgement(triggered, datapoints, tuple(findings), {"devices": figures})

    def _finding(self, profile: Profile, place: str, share: float, scope: Scope) -> Finding:
        own = self.parameters
        usual = (self.usual_cause, self.recommendation.rstrip("."))
        situation = situation_of(profile)
        waits = situation.share(situation.waiting_s)
        if situation.is_enough and waits < WAITS_SHARE:
            usual = (
                f"something else than loading, for which steps wait {percent(waits)} of the loop",
                "see what the script and other programs do on this machine meanwhile",
            )
        cause, remedy = why(profile, ("data_loading",), usual)
        if place.endswith(TRAINING):
            idle = f"the training on {place.removesuffix(f'/{TRAINING}')} waited for its data"
        else:
            idle = f"{place} was idle (used under {own.gpu_threshold:g} %)"
        return Finding(
            rule=self.name,
            kind="issue",
            message=f"{percent(share / 100)} of the time {self.busy} (over {self.bound:g} %) while "
            f"{idle}, {scope.when()}",
            cause=cause,
            remedy=remedy,
            worker=place,
            value=round(share, 2),
            bound=own.threshold,
        )


class CPUBottleneck(_Bottleneck):
    """The processor is busy while a device waits, for more than `threshold` % of the time.

    Of the samples of the training loop, on each host: the share in which all its cores together
    are busier than `cpu_threshold` while a GPU is used less than `gpu_threshold`. Without a GPU
    the training step stands for it: it is idle while it waits for its data, so that the rule speaks
    of loading and not of a training that keeps its processor busy.
    """

    parameters_model = models.CPUBottleneck
    parameters: models.CPUBottleneck
    description = "Looks for a busy processor beside an idle device."
    recommendation = (
        "Do less on the processor: decode pictures once and keep them, augment less, or take a "
        "machine with more cores."
    )
    busy = "the cores were busy"
    usual_cause = "the processor cannot prepare data fast enough"

    @property
    def bound(self) -> float:
        """Of the processor."""
        return self.parameters.cpu_threshold

    def load(self, host: Host, stretch: Stretch) -> Samples:
        """All cores together."""
        return readings.cpu(host, stretch)


class IOBottleneck(_Bottleneck):
    """The processor waits for disks while a device waits, for more than `threshold` % of the time.

    Of the samples of the training loop, on each host: the share in which its cores wait for disks
    for more than `io_threshold` of the time while a GPU is used less than `gpu_threshold`. Without
    a GPU the training step stands for it: it is idle while it waits for its data.
    """

    parameters_model = models.IOBottleneck
    parameters: models.IOBottleneck
    description = "Looks for waiting for disks beside an idle device."
    recommendation = (
        "Read less at a time or earlier: keep pictures in memory, in fewer and larger files, or on "
        "a faster disk, and give the loader more workers."
    )
    busy = "the cores waited for disks"
    usual_cause = "reading cannot follow"

    @property
    def bound(self) -> float:
        """Of waiting for disks."""
        return self.parameters.io_threshold

    def load(self, host: Host, stretch: Stretch) -> Samples:
        """All cores together."""
        return readings.io_wait(host, stretch)
