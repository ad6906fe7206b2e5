"""The headline, the tiles and the advice: what a reader takes along who reads no further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clary.jobs.pages.wording import duration, percent
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.resources import resources
from clary.jobs.profile_report.step_bar import step_bar
from clary.profiler.causes.situation import situation_of
from clary.profiler.diagnosis import Cause, Diagnosis
from clary.profiler.wording import brief, number
from clary.profiler.wording import percent as share

# A gain below this is no headline.
_WORTH_SAYING = 1.05
_MOST_TILES = 6


@dataclass(frozen=True)
class Advice:
    """One cause: what to change, what was seen, and how many times as fast the loop would be."""

    change: str
    evidence: str
    gain: float | None
    rule: str


@dataclass(frozen=True)
class Headline:
    """What it is, what is within reach, and whether all is well."""

    text: str
    gain: float | None = None
    healthy: bool = False


def headline(material: Material) -> Headline:
    """The page's title."""
    if not material.breakdown.steps:
        words = "No training step was seen" + ("" if material.over else " so far")
        return Headline(words)
    if not material.diagnoses:
        if not situation_of(material.profile).is_enough:
            return Headline("Too little of the training was seen to judge it")
        return Headline("Nothing holds this training back", healthy=True)
    first = material.diagnoses[0]
    return Headline(_HEADLINES[first.cause](first, material), _gain(first))


def advice(material: Material) -> tuple[Advice, ...]:
    """All causes, the most gain first; nothing where there is one, which the verdict tells."""
    if len(material.diagnoses) < 2:
        return ()
    return tuple(
        Advice(one.change, one.evidence, _gain(one), one.rule) for one in material.diagnoses
    )


def tiles(material: Material) -> tuple[tuple[str, str], ...]:
    """Figures at a glance: a number and what it is."""
    broken = material.breakdown
    found = []
    if broken.pictures_per_s:
        whose = "in one of its processes" if len(material.profile.ranks) > 1 else "in its steps"
        found.append((number(broken.pictures_per_s), f"pictures a second, {whose}"))
    if broken.steps:
        found.append((brief(broken.step_s), "a training step, in the middle"))
        step = step_bar(material.profile)
        if step is not None and "data" in broken.phases_s:
            waiting = next((one.share for one in step.phases if one.key == "data"), 0.0)
            found.append((share(waiting), "of a step waits for its data"))
    found += [
        (one.text(one.quantile(0.5)), f"{one.label} busy, in the middle")
        for one in resources(material.profile)
        if one.key in {"cpu", "gpu:0"} and one.host == material.profile.hosts[0].name
    ]
    if material.seconds:
        word = "from start to end" if material.over else "so far"
        found.append((brief(material.seconds), word))
    return tuple(found[:_MOST_TILES])


def _gain(found: Diagnosis) -> float | None:
    return found.gain if found.gain is not None and found.gain >= _WORTH_SAYING else None


def _share(words: str) -> Callable[[Diagnosis, Material], str]:
    return lambda found, _: words.format(percent(found.share, 0))


def _beginning(_: Diagnosis, material: Material) -> str:
    return f"It took {duration(material.breakdown.initialization_s)} until the first step"


def _idle(found: Diagnosis, material: Material) -> str:
    if found.rule != "LowGPUUtilization":
        return f"The cores are idle for {percent(found.share, 0)} of the training"
    if situation_of(material.profile).on_gpu:
        return f"The accelerator is idle for {percent(found.share, 0)} of the training"
    return "The training computes on the processor, beside an idle GPU"


def _own_code(found: Diagnosis, _: Material) -> str:
    what = percent(found.share, 0)
    if found.gain is None:  # the machine slept, or its clock was set
        return f"Nothing was seen of {what} of the training"
    return f"The script’s own code takes {what} of the training"


_HEADLINES: dict[Cause, Callable[[Diagnosis, Material], str]] = {
    "data_loading": _share("{} of the training waits for data"),
    "small_batches": _share("Small batches cost {} of the training"),
    "memory_leak": lambda _, material: "It uses more and more memory",
    "evaluation": _share("Evaluation takes {} of the training"),
    "checkpoints": _share("Checkpoints take {} of the training"),
    "own_code": _own_code,
    "initialization": _beginning,
    "outliers": lambda _, material: "Some steps take far longer than the others",
    "device_idle": _idle,
}
