"""What the rules share: how much they wait to see, windows of time, and moments in words.

SageMaker counts patience and windows in samples of half a second, made for jobs of hours. Here
they are times, and they begin with the training loop. A job that is over is judged by what there
is: a patience is a quarter of its loop at most, a window all of it at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clary.formats.findings import Finding
from clary.formats.profiler_rule_parameters import SAMPLE_S
from clary.profiler.causes.idle import UNUSED_GPU
from clary.profiler.causes.situation import LEAST_LOOP_S, situation_of
from clary.profiler.diagnosis import Cause, Diagnosis, diagnose
from clary.profiler.intervals import Floats
from clary.profiler.profile import Host, Profile
from clary.profiler.readings import Samples, gpus
from clary.profiler.rules.rule import Judgement, Moment
from clary.profiler.step_use import step_use
from clary.profiler.wording import brief, times

_PATIENT_PART = 0.25
_LEAST_S = LEAST_LOOP_S
_SETTLED_S = 30.0
TRAINING = "training"
"""What stands for a GPU where there is none."""
LEAST_SAMPLES = 4
"""So many samples say something of a stretch of time."""


@dataclass(frozen=True)
class Scope:
    """What is judged: a stretch of the job, in seconds since 1970; windows of it in seconds."""

    begin_s: float
    end_s: float
    job_began_s: float
    window_s: float

    @property
    def stretch(self) -> tuple[float, float]:
        """From begin to end."""
        return self.begin_s, self.end_s

    def windows(self) -> Iterator[tuple[float, float]]:
        """One after the other, of equal length; the last ends with the scope."""
        count = max(1, int((self.end_s - self.begin_s) / self.window_s))
        edges = np.linspace(self.begin_s, self.end_s, count + 1)
        yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)

    def when_fired(self, windows: Sequence[tuple[float, ...]]) -> str:
        """Of windows, each with its begin and end first: the longest stretch without a break."""
        stretches = [[windows[0][0], windows[0][1]]]
        for begin, end, *_ in windows[1:]:
            if begin <= stretches[-1][1] + 1e-6:
                stretches[-1][1] = end
            else:
                stretches.append([begin, end])
        begin, end = max(stretches, key=lambda one: one[1] - one[0])
        if len(stretches) == 1:
            return self.when((begin, end))
        return f"in {len(stretches)} stretches, the longest {self.when((begin, end))}"

    def when(self, stretch: tuple[float, float] | None = None) -> str:
        """Such as `from 4 s to 66 s of the job`."""
        begin, end = (max(0.0, moment - self.job_began_s) for moment in stretch or self.stretch)
        return f"from {brief(begin)} to {brief(end)} of the job"


def scope_of(
    profile: Profile,
    moment: Moment,
    *,
    patience: int,
    window: int | None = None,
    published: bool = False,
) -> Scope | None:
    """The training loop, or the whole job where no step is seen; None while it is too early.

    Args:
        profile: the job.
        moment: when it is judged.
        patience: samples to see before.
        window: samples that are judged together; all of them where None.
        published: do not shorten the patience of a short job.
    """
    situation = situation_of(profile)
    parts, bounds = situation.breakdown, profile.bounds
    if bounds is None:
        return None
    begin, end = parts.loop_bounds or bounds
    began = bounds[0] if parts.started_s is None else parts.started_s
    if situation.train.steps and not situation.is_enough and not published:
        # The verdict says that it is too little to judge.
        return None
    needed = patience * SAMPLE_S
    if moment.ended and not published:
        needed = max(_LEAST_S, min(needed, _PATIENT_PART * (end - begin)))
    if end - begin < needed:
        return None
    window_s = end - begin if window is None else min(window * SAMPLE_S, end - begin)
    return Scope(begin, end, began, max(window_s, 1e-3))


def use_of_devices(host: Host, stretch: tuple[float, float], times: Floats) -> dict[str, Samples]:
    """What computes, by name: the GPUs of the job, or the training where it uses none."""
    facts = next((one.facts for one in host.workers.values() if one.facts is not None), None)
    found = {} if facts is not None and facts.device == "cpu" else gpus_of_job(host, stretch)
    if found:
        return found
    steps = step_use(host, times)
    return {TRAINING: steps} if len(steps.times) else {}


def gpus_of_job(host: Host, stretch: tuple[float, float]) -> dict[str, Samples]:
    """How much the GPUs of a host are used, without those that are left to others.

    Where processes of the job compute on GPUs, and there are more than they need, those that work
    less than 5 % of the time are nobody's loss.
    """
    found = gpus(host, stretch)
    computing = [
        one for one in host.workers.values() if one.facts is not None and one.facts.device != "cpu"
    ]
    by_use = sorted(found, key=lambda name: -(found[name].mean() or 0.0))
    if not computing:
        return found
    return {
        name: samples
        for name, samples in found.items()
        if name in by_use[: len(computing)] or (samples.mean() or 0.0) >= UNUSED_GPU
    }


def has_settled(profile: Profile, moment: Moment) -> bool:
    """Whether the loop lasts long enough for a final word: its first steps fill queues and caches.

    A job that is over is judged by what there is.
    """
    return moment.ended or situation_of(profile).breakdown.loop_s >= _SETTLED_S


def diagnosed(profile: Profile, rule: str) -> list[Diagnosis]:
    """The causes that the rule stands for."""
    return [one for one in diagnose(profile) if one.rule == rule]


def of_diagnoses(profile: Profile, rule: str) -> tuple[Finding, ...]:
    """Findings of the causes that the rule stands for."""
    return tuple(
        Finding(
            rule=rule,
            kind="issue",
            message=one.evidence,
            cause=CAUSES[one.cause],
            remedy=_with_gain(one),
            worker=main_worker(profile),
            value=round(one.share, 4),
        )
        for one in diagnosed(profile, rule)
    )


def why(profile: Profile, causes: Sequence[Cause], usual: tuple[str, str]) -> tuple[str, str]:
    """Cause and remedy: the first of these causes that is found, or what is usual."""
    found = [one for one in diagnose(profile) if one.cause in causes]
    return (found[0].evidence, _with_gain(found[0])) if found else usual


def note(rule: str, message: str, remedy: str) -> Finding:
    """What kept a rule from judging."""
    return Finding(rule=rule, kind="note", message=message, remedy=remedy)


def nothing_sampled(rule: str, moment: Moment, what: str) -> Judgement:
    """Where there is nothing to judge: it is told once the job is over."""
    if not moment.ended:
        return Judgement()
    return Judgement(findings=(note(rule, what, _SWITCH_ON),))


def quantiles(values: Floats | Sequence[float]) -> dict[str, float]:
    """max, p99, p95, p50, min and mean; nothing of nothing."""
    if not len(values):
        return {}
    array = np.asarray(values, dtype=np.float64)
    p99, p95, p50 = np.percentile(array, [99, 95, 50]).tolist()
    return {
        "max": float(array.max()),
        "p99": p99,
        "p95": p95,
        "p50": p50,
        "min": float(array.min()),
        "mean": float(array.mean()),
    }


CAUSES = {
    "data_loading": "the loader cannot deliver as fast as the training could compute",
    "small_batches": "what a step costs at any size is shared by few pictures",
    "memory_leak": "something keeps what each step makes",
    "evaluation": "the model is evaluated too often",
    "checkpoints": "the model is saved too often",
    "own_code": "the script does more between the phases than it needs to",
    "initialization": "much is prepared before the first step",
    "outliers": "something holds single steps up",
    "device_idle": "there is too little to compute at a time",
}

_SWITCH_ON = (
    "let the job be sampled: give it a ProfilerConfig without DisableProfiler, or train with "
    "--profile steps"
)


def _with_gain(found: Diagnosis) -> str:
    if found.gain is None:
        return found.change
    return f"{found.change}; expected {times(found.gain)} as fast"


def main_worker(profile: Profile) -> str | None:
    """The process that speaks for the training, such as `algo-1/worker_0`."""
    main = profile.main
    host = next((one for one in profile.hosts if main in one.workers.values()), None)
    return None if main is None or host is None else f"{host.name}/{main.name}"
