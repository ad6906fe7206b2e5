"""Memory that grows as long as the training lasts."""

from __future__ import annotations

from clary.profiler import readings
from clary.profiler.causes.situation import Diagnosis, Situation
from clary.profiler.memory_growth import Growth, growth
from clary.profiler.profile import Host
from clary.profiler.wording import brief, number, size

_LEAST_SECONDS = 8.0
_LEAST_BYTES = 48e6
_LEAST_SHARE = 0.03
"""Of the level: what allocators move by themselves."""
_LEAST_POINTS = 3.0
_HOLDS = (
    "keep numbers rather than tensors (loss.item(), not loss; .detach() what is collected), and "
    "let go of what each step appends to"
)


def memory_leak(situation: Situation) -> Diagnosis | None:
    """The job's resident memory, or a GPU's, rises steadily after its warm-up.

    That is a rise of 48 MB and 3 % of the job's memory at least, or of 3 points of a GPU's, over
    8 s or more, by `memory_growth.growth`. Nothing is gained in time by mending it; a share of the
    loop it does not take.
    """
    host = situation.host
    if host is None or not situation.is_enough:
        return None
    found = resident_growth(host, situation.stretch)
    if found is not None:
        return Diagnosis(
            "memory_leak",
            f"the job's memory grows by {size(60 * found.per_s)} a minute, steadily: "
            f"{size(found.risen)} in {brief(found.seconds)}, to {size(found.level)}"
            f"{_until_full(host, situation.stretch)}",
            _HOLDS,
            share=0.0,
            rule="GPUMemoryIncrease",
        )
    for name, samples in readings.gpu_memory(host, situation.stretch).items():
        rising = growth(samples)
        if rising and rising.seconds >= _LEAST_SECONDS and rising.risen >= _LEAST_POINTS:
            full = (100 - rising.level) / rising.per_s
            return Diagnosis(
                "memory_leak",
                f"the memory of {name} in use grows by {number(60 * rising.per_s)} points a "
                f"minute, steadily, to {rising.level:.0f} %: full in {brief(full)}",
                _HOLDS,
                share=0.0,
                rule="GPUMemoryIncrease",
            )
    return None


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
