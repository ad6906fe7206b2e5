"""Rules that judge how much the GPUs of each host are used."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.profiler import readings
from clary.profiler.intervals import Floats
from clary.profiler.profile import Host, Profile
from clary.profiler.rules.judging import (
    LEAST_SAMPLES,
    Scope,
    gpus_of_job,
    note,
    of_diagnoses,
    quantiles,
    scope_of,
    why,
)
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule

_NO_GPU = "no GPU was seen on any host of the job"


class LowGPUUtilization(ProfilerRule):
    """A GPU is too little used, or its use fluctuates.

    Each window of the training loop, GPU by GPU: the 95th percentile of its use is under
    `threshold_p95`; or it is not, and the 5th percentile is under `threshold_p5`. Without a GPU
    there is nothing to judge. Beyond SageMaker's thresholds it fires where a GPU works less than
    half of the time and no other cause is found.
    """

    parameters_model = models.LowGPUUtilization
    parameters: models.LowGPUUtilization
    description: ClassVar[str] = "Looks for GPUs that are little used, or that wait now and then."
    recommendation: ClassVar[str] = (
        "Look for what the GPU waits for (data, the processor, checkpoints); take larger batches, "
        "or a smaller GPU."
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
        figures: dict[str, dict[str, float]] = {}
        for host in profile.hosts:
            for name, samples in self._gpus(host, scope).items():
                datapoints += len(samples.values)
                figures[f"{host.name}/{name}"] = quantiles(samples.values)
                fired = self._windows(host, name, scope)
                triggered += len(fired)
                if fired:
                    findings.append(self._finding(profile, f"{host.name}/{name}", scope, fired))
        if not datapoints:
            notes = (note(self.name, _NO_GPU, "nothing: it judges GPUs alone"),)
            return Judgement(findings=notes if moment.ended else ())
        if not findings and not own.published_defaults:
            findings = list(of_diagnoses(profile, self.name))
            triggered += len(findings)
        return Judgement(triggered, datapoints, tuple(findings), {"gpus": figures})

    def _gpus(self, host: Host, scope: Scope) -> dict[str, readings.Samples]:
        every = self.parameters.published_defaults
        return readings.gpus(host, scope.stretch) if every else gpus_of_job(host, scope.stretch)

    def _windows(self, host: Host, name: str, scope: Scope) -> list[tuple[float, float, float]]:
        """(begin, end, 95th percentile) of those in which it is little used or fluctuates."""
        found = []
        for begin, end in scope.windows():
            values = readings.samples(host, "GPUUtilization", name, (begin, end)).values
            if len(values) < LEAST_SAMPLES:
                continue
            p5, p95 = np.percentile(values, [5, 95])
            if p95 < self.parameters.threshold_p95 or p5 < self.parameters.threshold_p5:
                found.append((begin, end, float(p95)))
        return found

    def _finding(
        self, profile: Profile, place: str, scope: Scope, fired: list[tuple[float, float, float]]
    ) -> Finding:
        own = self.parameters
        p95 = min(one[2] for one in fired)
        low = p95 < own.threshold_p95
        what = (
            f"is little used: its 95th percentile is {p95:.0f} %, under {own.threshold_p95:g} %"
            if low
            else f"fluctuates: its 5th percentile is under {own.threshold_p5:g} %"
        )
        cause, remedy = why(
            profile,
            ("data_loading", "own_code", "small_batches", "checkpoints", "device_idle"),
            (
                "it waits for data or for the processor, or has too little to do at a time",
                "take larger batches, more loader workers and pin_memory=True",
            ),
        )
        return Finding(
            rule=self.name,
            kind="issue",
            message=f"{place} {what}, {scope.when_fired(fired)}",
            cause=cause,
            remedy=remedy,
            worker=place,
            value=round(p95, 2),
            bound=own.threshold_p95 if low else own.threshold_p5,
        )


class LoadBalancing(ProfilerRule):
    """Two GPUs of a job are used differently.

    The distance of two GPUs is half the sum over 50 bins of two percent of the differences of
    their histograms' shares (total variation: 0 is the same, 1 nothing in common), of each GPU
    that the job uses with each other, on all its hosts. Fewer than two leave nothing to judge. So
    that noise says nothing, their medians must differ by 10 points, too.
    """

    parameters_model = models.LoadBalancing
    parameters: models.LoadBalancing
    description: ClassVar[str] = "Looks for GPUs that have more to do than others."
    recommendation: ClassVar[str] = (
        "Give each process as many pictures, and see whether one of them does more besides, such "
        "as evaluating."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """Pair by pair."""
        own = self.parameters
        scope = scope_of(profile, moment, patience=own.patience, published=own.published_defaults)
        if scope is None:
            return Judgement()
        gpus = readings.gpus if own.published_defaults else gpus_of_job
        used = {
            f"{host.name}/{name}": samples.values
            for host in profile.hosts
            for name, samples in gpus(host, scope.stretch).items()
            if len(samples.values) >= LEAST_SAMPLES
        }
        if len(used) < 2:
            notes = (note(self.name, "fewer than two GPUs were seen", "nothing: it compares GPUs"),)
            return Judgement(findings=notes if moment.ended else ())
        names = sorted(used)
        shares = {name: _histogram(used[name]) for name in names}
        distances = {
            (one, other): 0.5 * float(np.abs(shares[one] - shares[other]).sum())
            for number, one in enumerate(names)
            for other in names[number + 1 :]
        }
        fired = [
            pair
            for pair, distance in distances.items()
            if distance > own.threshold and (own.published_defaults or _apart(used, pair))
        ]
        findings: tuple[Finding, ...] = ()
        if fired:
            worst = max(fired, key=lambda pair: distances[pair])
            less, more = sorted(worst, key=lambda name: float(np.median(used[name])))
            findings = (
                Finding(
                    rule=self.name,
                    kind="issue",
                    message=f"{less} and {more} are used differently: the distance of their "
                    f"histograms is {distances[worst]:.2f}, over {own.threshold:g}, their medians "
                    f"{np.median(used[less]):.0f} % and {np.median(used[more]):.0f} %, "
                    f"{scope.when()}",
                    cause=f"{less} waits for {more}, or has less to do",
                    remedy="give each process as many pictures, and see what one does besides, "
                    "such as evaluating or saving",
                    worker=less,
                    value=round(distances[worst], 4),
                    bound=own.threshold,
                ),
            )
        return Judgement(
            len(fired),
            sum(len(one) for one in used.values()),
            findings,
            {
                "histograms": {name: shares[name].tolist() for name in names},
                "distances": [
                    {"first": one, "second": other, "distance": distance}
                    for (one, other), distance in distances.items()
                ],
            },
        )


def _histogram(values: Floats) -> Floats:
    counts, _ = np.histogram(values, bins=50, range=(0.0, 100.0))
    return np.asarray(counts / max(1, int(counts.sum())), dtype=np.float64)


def _apart(used: dict[str, Floats], pair: tuple[str, str]) -> bool:
    return bool(abs(np.median(used[pair[0]]) - np.median(used[pair[1]])) >= 10.0)
