"""Memory that grows as long as the training lasts."""

from __future__ import annotations

from clary.profiler import readings
from clary.profiler.causes.situation import Diagnosis, Situation
from clary.profiler.memory_growth import Growth, growth
from clary.profiler.profile import Host
from clary.profiler.wording import brief, number, size

_LEAST_SECONDS = 8.0
_LEAST_BYTES = 96e6
_LEAST_SHARE = 0.03
"""Of the level: what allocators move by themselves."""
_LEAST_POINTS = 3.0
HOLDS = (
    "keep numbers rather than tensors (loss.item(), not loss; .detach() what is collected), and "
    "let go of what each step appends to"
)
_OF_CLARY = "give decoded pictures less room: a smaller CLARY_CACHE_GB, or fewer --workers"
_IS_IT_A_CACHE = "see whether that is a cache which fills in the first epoch; if it is none, "


def memory_leak(situation: Situation) -> Diagnosis | None:
    """The job's resident memory on a host, or a GPU's, rises steadily after its warm-up.

    That is a rise of 96 MB and 3 % of the job's memory at least, or of 3 points of a GPU's, over
    8 s or more, by `memory_growth.growth`. Nothing is gained in time by mending it; a share of the
    loop it does not take. In the first epoch it may be a cache; in Clary's own loop it is one.
    """
    if not situation.is_enough or (situation.is_clary and _is_first_epoch(situation)):
        return None
    hosts = situation.profile.hosts
    for host in hosts:
        found = _of_host(host, situation.stretch, f" on {host.name}" if len(hosts) > 1 else "")
        if found:
            return Diagnosis(
                "memory_leak", found, _change(situation), share=0.0, rule="GPUMemoryIncrease"
            )
    return None


def _of_host(host: Host, stretch: readings.Stretch, where: str) -> str:
    """What grows, in words; empty where nothing does."""
    found = resident_growth(host, stretch)
    if found is not None:
        return (
            f"the job's memory{where} grows by {size(60 * found.per_s)} a minute, steadily: "
            f"{size(found.risen)} in {brief(found.seconds)}, to {size(found.level)}"
            f"{_until_full(host, stretch)}"
        )
    for name, samples in readings.gpu_memory(host, stretch).items():
        rising = growth(samples)
        if rising and rising.seconds >= _LEAST_SECONDS and rising.risen >= _LEAST_POINTS:
            full = (100 - rising.level) / rising.per_s
            return (
                f"the memory of {name}{where} in use grows by {number(60 * rising.per_s)} points a "
                f"minute, steadily, to {rising.level:.0f} %: full in {brief(full)}"
            )
    return ""


def _change(situation: Situation) -> str:
    if situation.is_clary:
        return _OF_CLARY
    return f"{_IS_IT_A_CACHE}{HOLDS}" if _is_first_epoch(situation) else HOLDS


def _is_first_epoch(situation: Situation) -> bool:
    return situation.train.steps <= situation.steps_to_an_epoch


def resident_growth(host: Host, stretch: readings.Stretch) -> Growth | None:
    """How the memory of a host's job grows; None where that is no leak."""
    found = growth(readings.resident(host, stretch))
    if found is None or found.seconds < _LEAST_SECONDS:
        return None
    return found if found.risen >= max(_LEAST_BYTES, _LEAST_SHARE * found.level) else None


def _until_full(host: Host, stretch: readings.Stretch) -> str:
    """By what the machine's own memory does meanwhile, which others use too."""
    rising = growth(readings.memory(host, stretch))
    if rising is None or rising.risen < 0.5:
        return ""
    return f"; the machine's is full in about {brief((100 - rising.level) / rising.per_s)}"
