"""How pictures come to the training: the loader's facts, the time of its batches, and whether it
keeps up with the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.formats.text import counted
from clary.formats.timeline import Loading
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.step_lengths import Histogram, histogram
from clary.profiler.wording import brief


@dataclass(frozen=True)
class LoaderProcess:
    """One process that makes batches; `busy` is how much of its time it did."""

    name: str
    batches: int
    median_s: float
    p95_s: float
    busy: float


@dataclass(frozen=True)
class Supply:
    """Pictures a second: what the loader can make, and what the model could take."""

    made: float
    taken: float


@dataclass(frozen=True)
class DataLoading:
    """The section's content; `missing` says why there is little."""

    facts: tuple[tuple[str, str], ...]
    processes: tuple[LoaderProcess, ...]
    times: Histogram | None
    supply: Supply | None
    waiting: float | None


def data_loading(material: Material) -> DataLoading:
    """What is known of a job's loading."""
    facts = material.profile.facts
    loading = None if facts is None else facts.train_loading
    main = material.profile.main
    loads = np.empty(0, np.uint8) if main is None else main.loads()
    broken = material.breakdown
    waiting = None
    if broken.steps_s and "data" in broken.phases_s:
        waiting = broken.phases_s["data"] / broken.steps_s
    return DataLoading(
        facts=_facts(loading, 0 if facts is None else facts.cores),
        processes=_processes(
            loads, "Clary’s threads" if _is_clary(loading) else "the training itself"
        ),
        times=_times(loads),
        supply=_supply(material, loads),
        waiting=waiting,
    )


def _facts(loading: Loading | None, cores: int) -> tuple[tuple[str, str], ...]:
    if loading is None:
        return ()
    yes_no = {True: "yes", False: "no"}
    rows: list[tuple[str, str | None]] = [
        ("loader", {"clary": "Clary’s own, in threads"}.get(loading.kind, loading.kind) or None),
        ("workers", _workers(loading.workers, cores)),
        ("batch size", None if loading.batch_size is None else f"{loading.batch_size:,}"),
        ("pictures", None if loading.pictures is None else f"{loading.pictures:,}"),
        ("a picture takes", None if loading.decode_s is None else f"{brief(loading.decode_s)} "
         "to decode and transform, on one core"),
        ("kept after decoding", None if loading.cached is None else yes_no[loading.cached]),
        ("pinned memory", None if loading.pin_memory is None else yes_no[loading.pin_memory]),
        ("batches ahead", None if loading.prefetch_factor is None
         else f"{loading.prefetch_factor} a worker"),
        ("workers stay", None if loading.persistent_workers is None
         else yes_no[loading.persistent_workers]),
    ]  # fmt: skip
    return tuple((name, text) for name, text in rows if text is not None)


def _is_clary(loading: Loading | None) -> bool:
    return loading is not None and loading.kind == "clary"


def _workers(workers: int | None, cores: int) -> str | None:
    if workers is None:
        return None
    of = f", with {counted(cores, 'core')}" if cores else ""
    return f"none: the training itself loads{of}" if workers == 0 else f"{workers}{of}"


def _processes(loads: npt.NDArray[Any], inside: str) -> tuple[LoaderProcess, ...]:
    if not len(loads):
        return ()
    found = []
    for worker in np.unique(loads["worker"]).tolist():
        own = loads[loads["worker"] == worker]
        seconds = own["seconds"].astype(np.float64)
        ends = own["start_us"] / 1e6 + seconds
        time = max(float(ends.max()) - float(own["start_us"].min()) / 1e6, 1e-9)
        found.append(
            LoaderProcess(
                name=inside if worker < 0 else f"worker {worker}",
                batches=len(own),
                median_s=float(np.median(seconds)),
                p95_s=float(np.quantile(seconds, 0.95)),
                busy=min(float(seconds.sum()) / time, 1.0),
            )
        )
    return tuple(found)


def _times(loads: npt.NDArray[Any]) -> Histogram | None:
    if not len(loads):
        return None
    return histogram(loads["seconds"].astype(np.float64), np.ones(len(loads)))


def _supply(material: Material, loads: npt.NDArray[Any]) -> Supply | None:
    """Pictures a second of all processes that make batches, were they never waiting; and of the
    model, were it never waiting: pictures over the steps' time without their waiting for data.
    """
    broken = material.breakdown
    working = broken.steps_s - broken.phases_s.get("data", 0.0)
    if not len(loads) or not broken.pictures_per_s or "data" not in broken.phases_s:
        return None
    pictures, seconds = int(loads["pictures"].sum()), float(loads["seconds"].sum())
    if not pictures or seconds <= 0 or working <= 0:
        return None
    makers = len(np.unique(loads["worker"]))
    seen = broken.pictures_per_s * broken.steps_s
    return Supply(made=makers * pictures / seconds, taken=seen / working)
