"""What holds a training back, and what to change: causes in words, with numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clary.formats.finding_sentences import WELL_BUILT
from clary.formats.text import counted
from clary.formats.timeline.entries import Mode
from clary.profiler.breakdown import OTHER
from clary.profiler.causes.between_steps import checkpoints, evaluation
from clary.profiler.causes.data_loading import data_loading
from clary.profiler.causes.idle import device_idle, initialization, unused_gpu
from clary.profiler.causes.memory_leak import memory_leak
from clary.profiler.causes.outliers import outliers
from clary.profiler.causes.own_code import own_code, unrecorded
from clary.profiler.causes.situation import (
    LEAST_LOOP_S,
    LEAST_STEPS,
    Cause,
    Diagnosis,
    Situation,
    situation_of,
)
from clary.profiler.causes.small_batches import small_batches
from clary.profiler.profile import Profile
from clary.profiler.wording import brief, number, percent, times

__all__ = ["Cause", "Diagnosis", "diagnose", "verdict"]

_CAUSES: Sequence[Callable[[Situation], Diagnosis | None]] = (
    data_loading,
    small_batches,
    evaluation,
    checkpoints,
    own_code,
    unrecorded,
    outliers,
    memory_leak,
    initialization,
)
# A job that will run out of memory matters more than one that could be a third faster.
_SHORT_S = 30.0
_TOLD = 0.05
_BESIDE = ("memory_leak", "initialization")
"""What explains no idle device."""
_WEIGHT = {"memory_leak": 1.3, "initialization": 1.02}


def diagnose(profile: Profile) -> tuple[Diagnosis, ...]:
    """What holds a training back, what brings most first; nothing where it is well built.

    Gains are each change's own: two changes that save the same time do not add up.
    """
    return profile.once("diagnoses", lambda one: _diagnose(situation_of(one)))


def verdict(profile: Profile) -> tuple[str, str, str]:
    """Three sentences: what the job did and how fast, what holds it back, what to change."""
    situation = situation_of(profile)
    parts = situation.breakdown
    found = diagnose(profile)
    first = _what_it_did(situation)
    if found:
        cause = found[0]
        others = f"; {_also(found[1:])}" if len(found) > 1 else ""
        gain = cause.gain
        joint = ". The" if ":" in cause.change else ": the"
        brings = f"{joint} training loop would be about {times(gain)} as fast" if gain else ""
        return (
            first,
            f"{_upper(cause.evidence)}.",
            f"{_upper(cause.change)}{brings}{others}.",
        )
    if not parts.steps and (situation.facts is None or not situation.facts.framework):
        return (
            first,
            "It is no training that the profiler knows, such as one with torch.",
            "Look at what the machine did meanwhile.",
        )
    if not situation.is_enough:
        return (
            first,
            f"That is too little to judge: {LEAST_STEPS} training steps that take "
            f"{LEAST_LOOP_S:.0f} s together are the least.",
            "Let it run longer, or look at what the machine did meanwhile.",
        )
    if situation.clock_was_set_back:
        return first, "What took how long is not known, as the clock was set.", "Run it once more."
    return (first, _where_the_time_goes(situation), _well_built(situation))


def _diagnose(situation: Situation) -> tuple[Diagnosis, ...]:
    found = [one for one in (cause(situation) for cause in _CAUSES) if one is not None]
    found.sort(key=lambda one: -(one.gain or _WEIGHT.get(one.cause, 1.0)))
    unused = unused_gpu(situation)
    if unused is not None:
        # Nothing brings as much; what else is said holds for the processor.
        return unused, *found
    if all(one.cause in _BESIDE for one in found):
        idle = device_idle(situation)
        found += [idle] if idle is not None else []
    return tuple(found)


def _what_it_did(situation: Situation) -> str:
    parts, facts = situation.breakdown, situation.facts
    if not parts.steps:
        seconds = parts.job_s
        lasted = f"The job ran for {brief(seconds)}" if seconds else "Nothing was recorded yet"
        evaluated = f", {brief(parts.evaluation_s)} of it evaluating" if parts.evaluation_s else ""
        return f"{lasted}{evaluated}, and no training step was seen."
    device = "" if facts is None or not facts.device else f" on {_device(situation)}"
    ranks = len(situation.profile.ranks)
    rate = _rate(situation)
    together = " together" if ranks > 1 else ""
    speed = f", {number(rate)} pictures a second{together}" if rate else ""
    size = situation.batch_size
    others = ""
    programs = situation.profile.programs
    if programs > 1:
        others = f"; it is the longest of {programs} programs that trained"
    if situation.is_disturbed:
        others += f"; other programs kept {situation.others_cores:.1f} cores busy meanwhile"
    if situation.is_mixed:
        others += "; several programs were recorded as one here"
    if situation.clock_was_set_back:
        others += "; the machine's clock was set back meanwhile"
    of = f" of {number(round(size, 1))} pictures" if size else ""
    of += f" in each of {ranks} processes" if ranks > 1 else ""
    return (
        f"In {brief(parts.job_s)} it took {counted(parts.steps, 'training step')}{of}{device}: "
        f"{brief(parts.step_s)} a step in the middle{speed}{others}."
    )


def _rate(situation: Situation) -> float | None:
    """Pictures a second while steps are taken, of all processes that train together."""
    own = situation.breakdown.pictures_per_s
    pictures = float(situation.train.pictures.sum())
    if own is None or not pictures:
        return own
    every = (one.steps(Mode.TRAIN)["pictures"].sum() for one in situation.profile.ranks)
    return own * float(sum(every)) / pictures


def _device(situation: Situation) -> str:
    facts = situation.facts
    assert facts is not None
    if facts.device == "cpu":
        cores = counted(situation.cores, "core")
        some = 0 < facts.threads < situation.cores
        return f"{cores} (torch computes in {facts.threads})" if some else cores
    return facts.device.partition(" ")[2] or facts.device


def _well_built(situation: Situation) -> str:
    if situation.is_disturbed:
        return (
            f"{WELL_BUILT}, but other programs took {situation.others_cores:.1f} of the "
            f"machine's {counted(situation.machine_cores, 'core')}: alone on it, it is faster."
        )
    loop_s = situation.breakdown.loop_s
    shown = f" as far as {brief(loop_s)} show" if loop_s < _SHORT_S else ""
    return f"{WELL_BUILT}{shown}: nothing stands out to change."


def _where_the_time_goes(situation: Situation) -> str:
    parts = situation.breakdown
    computing = sum(parts.phases_s.get(name, 0.0) for name in ("forward", "backward", "optimizer"))
    loop = parts.loop_s or 1.0
    features = (
        f"Computing features takes {percent(parts.features_s / loop)} of the training loop; "
        if parts.features_s
        else ""
    )
    who = "forward, backward and optimizer take"
    own = parts.phases_s.get(OTHER, 0.0)
    if situation.device_step_s is not None:
        # What Python does meanwhile is no measure of it.
        who, computing = "the GPU computes in", parts.steps * situation.device_step_s
        own = min(own, max(0.0, parts.steps_s - computing - situation.waiting_s))
    own_code = "what steps do beside" if situation.is_clary else "the script's own code"
    rest = ((own, own_code), (parts.other_s, "the rest"))
    more = "".join(
        f", {what} {percent(spent / loop)}" for spent, what in rest if spent >= _TOLD * loop
    )
    of_loop = "of it" if features else "of the training loop"
    return (
        f"{_upper(f'{features}{who}')} {percent(computing / loop)} {of_loop}, "
        f"waiting for data {percent(situation.waiting_s / loop)}, evaluating "
        f"{percent(parts.evaluation_s / loop)}, "
        f"checkpoints {percent(parts.checkpoint_s / loop)}{more}."
    )


def _also(others: Sequence[Diagnosis]) -> str:
    names = [
        f"{_NAMES[one.cause]} ({times(one.gain)})" if one.gain else _NAMES[one.cause]
        for one in others
    ]
    return f"look at {', '.join(dict.fromkeys(names))} too"


_NAMES = {
    "data_loading": "its data loading",
    "small_batches": "its small batches",
    "memory_leak": "its growing memory",
    "evaluation": "its evaluations",
    "checkpoints": "its checkpoints",
    "own_code": "its own code",
    "initialization": "its long start",
    "outliers": "its long steps",
    "device_idle": "its idle device",
}


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
