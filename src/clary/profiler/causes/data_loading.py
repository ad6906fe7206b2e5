"""Steps that wait for their data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clary.formats.text import counted
from clary.profiler.causes.situation import LEAST_GAIN, Diagnosis, Situation
from clary.profiler.intervals import Intervals
from clary.profiler.step_use import cpu_while_waiting
from clary.profiler.wording import brief, percent, times

WAITS_SHARE = 0.10
"""Training steps that wait for less of the loop hardly wait."""
_WAITS_BELOW = 0.5
"""A loader that computes for less than this part of its time waits for something else."""
_FREE_BELOW = 75.0
"""Where the cores are busier than that, in percent, a loader that does not compute waits for one of
them."""
_OF_A_CACHE = 0.25
"""What is left of a picture's load where it is decoded and resized once and kept: measured."""
_START_SHARE = 0.05
_TO_SPARE = 0.8
_LEAST_CORES = 0.25
_WORTH = 0.3
"""More workers are told beside a better change where they bring so much of what that brings."""
_TAKE_OUT = "take out what the dataset waits for (a sleep, a disk, a network)"


@dataclass(frozen=True)
class Load:
    """How batches come.

    Times are of one step: `step_s` as it is, `wait_s` what it waits for its data while the device
    has nothing to do, `load_s` what making a batch takes one worker, `cpu_s` what of that is work
    for a core, `work_s` what all processes of the job work in a step, in core-seconds. None is not
    known.
    """

    workers: int
    cores: int
    step_s: float
    wait_s: float
    load_s: float
    cpu_s: float | None
    work_s: float | None
    others: float = 0.0
    """How many of the cores other programs keep busy."""
    measured: bool = True
    """Whether `load_s` was; else it is what workers take that cannot follow."""

    @property
    def compute_s(self) -> float:
        """What a step takes beside its data."""
        return self.step_s - self.wait_s

    @property
    def free_cores(self) -> float:
        """How many cores the job can have."""
        return max(_LEAST_CORES, self.cores - self.others)

    @property
    def computes(self) -> bool:
        """Whether a loader works most of its time rather than waits itself."""
        return self.cpu_s is None or self.cpu_s >= _WAITS_BELOW * self.load_s

    def with_workers(self, workers: int) -> float:
        """Seconds of a step where so many workers load beside it: the slowest of three.

            max(load / workers, compute, work / free cores)

        The first is what the workers can deliver, the second what the step takes if its data are
        there (on an accelerator at least what that computes), the third what all cores that other
        programs leave need for the work of both: workers help little where the training itself
        keeps the cores busy.
        """
        by_work = 0.0 if self.work_s is None else self.work_s / self.free_cores
        return min(self.step_s, max(self.load_s / max(1, workers), self.compute_s, by_work))

    def cached(self) -> float:
        """Seconds of a step where a picture is decoded once and kept; loaded as it is now.

        A cached picture takes a quarter of the work of one that is decoded. Where a load was not
        measured nothing is predicted.
        """
        if not self.measured:
            return self.step_s
        load_s = _OF_A_CACHE * self.load_s
        if not self.workers:
            return min(self.step_s, self.compute_s + load_s)
        saved = (1 - _OF_A_CACHE) * (self.load_s if self.cpu_s is None else self.cpu_s)
        by_work = 0.0 if self.work_s is None else max(0.0, self.work_s - saved) / self.free_cores
        return min(self.step_s, max(load_s / self.workers, self.compute_s, by_work))

    def without_waiting(self) -> float:
        """Seconds of a step where a load is its work alone, by as many workers as now."""
        if self.cpu_s is None:
            return self.step_s
        if not self.workers:
            return min(self.step_s, self.compute_s + self.cpu_s)
        return min(self.step_s, max(self.cpu_s / self.workers, self.compute_s))

    def best_workers(self) -> int:
        """The fewest workers that get to the best step there is, with a fifth to spare."""
        most = self.cores if self.computes else 2 * self.cores
        best = self.with_workers(most)
        enough = (
            n
            for n in range(1, most)
            if self.with_workers(n) <= 1.02 * best and self.load_s / n <= _TO_SPARE * best
        )
        return next(enough, most)


def data_loading(situation: Situation) -> Diagnosis | None:
    """Training steps wait for their data a tenth of the loop or more.

    On an accelerator only that counts in which it has nothing to do: it computes on while Python
    waits. The gain is predicted by `Load.with_workers` or, where more workers bring nothing, by
    `Load.cached` or `Load.without_waiting`: each step that is left becomes so much shorter.
    """
    loading_s = situation.train.phase_s("data") - _starts_inside(situation)
    wait_s = min(loading_s, situation.waiting_s)
    if not situation.is_enough or situation.share(wait_s) < WAITS_SHARE:
        return _starting(situation)
    load = measure(situation)
    change, gain = _best_change(situation, load)
    return Diagnosis(
        "data_loading",
        _evidence(situation, load),
        change,
        share=situation.share(wait_s),
        gain=gain,
        rule="Dataloader",
    )


def _best_change(situation: Situation, load: Load) -> tuple[str, float | None]:
    workers = load.best_workers()
    by_workers = _gain(situation, load, load.with_workers(workers))
    more = workers > load.workers and by_workers >= LEAST_GAIN
    told = _more_workers(situation, workers)
    if load.computes:
        other, by_other = _cache(situation), _gain(situation, load, load.cached())
    else:
        other, by_other = _TAKE_OUT, _gain(situation, load, load.without_waiting())
    if more and by_workers >= 0.9 * by_other:
        return (told if load.computes else f"{told}, or {other}"), by_workers
    if by_other < LEAST_GAIN:
        # Nothing that could be told would help, but the wait is there.
        return other, None
    half = more and by_workers - 1 >= _WORTH * (by_other - 1)
    return (f"{other}, or {told} ({times(by_workers)})" if half else other), by_other


def measure(situation: Situation) -> Load:
    """How batches come to the steps of the training."""
    steady = situation.steady
    steps = max(1, steady.steps)
    step_s = float(steady.seconds.sum()) / steps
    wait_s = min(step_s, steady.phase_s("data") / steps)
    if situation.device_step_s is not None:
        wait_s = min(wait_s, max(0.0, step_s - situation.device_step_s))
    loading = situation.loading
    workers = (loading.workers if loading is not None else None) or 0
    load_s, cpu_s = _loads(situation)
    measured = True
    if load_s is None:
        decode_s = loading.decode_s if loading is not None else None
        if decode_s and situation.batch_size:
            load_s = decode_s * situation.batch_size
        else:
            # Workers that cannot follow deliver as fast as they can: each takes `workers` steps.
            load_s, measured = (step_s * workers, False) if workers else (wait_s, True)
    if cpu_s is not None and cpu_s < _WAITS_BELOW * load_s and _is_crowded(situation):
        cpu_s = None
    used = situation.cores_used
    return Load(
        workers=workers,
        cores=situation.cores,
        step_s=step_s,
        wait_s=wait_s,
        load_s=load_s,
        cpu_s=cpu_s,
        work_s=None if used is None else used * step_s,
        others=situation.missing_cores,
        measured=measured,
    )


def _is_crowded(situation: Situation) -> bool:
    """Whether the cores are busy while the training waits for its data, with whatever."""
    if situation.host is None:
        return False
    busy = cpu_while_waiting(situation.host, situation.stretch)
    return busy is not None and busy >= _FREE_BELOW


def _loads(situation: Situation) -> tuple[float | None, float | None]:
    """Seconds that making a training batch takes, and those of a core: medians a picture."""
    main = situation.profile.main
    records = None if main is None else main.loads()
    if records is None or not len(records):
        return None, None
    size = situation.batch_size
    pictures = records["pictures"].astype(np.float64)
    scale = np.where(pictures > 0, size / np.maximum(pictures, 1.0), 1.0) if size else 1.0
    seconds = records["seconds"] * scale
    cpu = records["cpu_s"] * scale
    known = ~np.isnan(cpu)
    return float(np.median(seconds)), float(np.median(cpu[known])) if known.any() else None


def _gain(situation: Situation, load: Load, step_s: float) -> float:
    return situation.gain(situation.train.steps * (load.step_s - step_s))


def _evidence(situation: Situation, load: Load) -> str:
    waits = f"{percent(load.wait_s / load.step_s)} of each step waits for its data"
    size = situation.batch_size
    each = f" ({brief(load.load_s / size)} a picture)" if size else ""
    workers = counted(load.workers, "thread" if situation.is_clary else "worker")
    if not load.measured:
        return f"{waits}, which {workers} {'loads' if load.workers == 1 else 'load'}"
    if load.workers:
        where = f"one of {workers}" if load.workers > 1 else f"its only {workers[2:]}"
    else:
        where = "the process that trains, which does nothing else meanwhile"
    told = f"{waits}: making a batch takes {brief(load.load_s)}{each} in {where}"
    if load.cpu_s is None:
        return told
    if not load.computes:
        idle = 1 - load.cpu_s / load.load_s
        return f"{told}, and {percent(idle)} of that is waiting for something else"
    return f"{told}, all of it work for a core" if load.cpu_s > 0.9 * load.load_s else told


def _more_workers(situation: Situation, workers: int) -> str:
    if situation.is_clary:
        return f"decode in more threads: --workers {workers}"
    loading = situation.loading
    if loading is None or loading.kind != "DataLoader":
        return (
            f"make the batches beside the training, in {counted(workers, 'process', 'processes')}"
        )
    beside = "" if loading.persistent_workers else " and persistent_workers=True"
    return f"give the DataLoader num_workers={workers}{beside}"


def _cache(situation: Situation) -> str:
    if situation.is_clary:
        return "keep all decoded pictures: give CLARY_CACHE_GB more room, or --image-size less"
    return "decode and resize each picture once and keep it (a tensor or an array in a file)"


def _starting(situation: Situation) -> Diagnosis | None:
    """Workers of a loader are started anew each epoch."""
    starts = _starts(situation)
    spent = starts.total_s
    count = len(starts.begins)
    loading = situation.loading
    gain = situation.gain(spent * (1 - 1 / count)) if count else 1.0
    kept = loading is not None and bool(loading.persistent_workers)
    if kept or count < 2 or not situation.is_enough or situation.share(spent) < _START_SHARE:
        return None
    if gain < LEAST_GAIN:
        return None
    return Diagnosis(
        "data_loading",
        f"starting the loader's workers took {brief(spent)}, {count} times "
        f"{brief(spent / count)}: {percent(situation.share(spent))} of the training loop",
        "keep them: give the DataLoader persistent_workers=True",
        share=situation.share(spent),
        gain=gain,
        rule="Dataloader",
    )


def _starts(situation: Situation) -> Intervals:
    begin, end = situation.stretch
    return Intervals(
        (one.start_us / 1e6, one.end_us / 1e6)
        for one in situation.profile.spans
        if one.kind == "loader_start" and begin <= one.start_us / 1e6 and one.end_us / 1e6 <= end
    )


def _starts_inside(situation: Situation) -> float:
    """What starting loaders took of the waiting for data."""
    train = situation.train
    inside = _starts(situation).within(train.starts_s, train.ends_s)
    waits = train.phases_s[:, 0]
    found = float(np.where(waits >= 0.8 * inside, np.minimum(inside, waits), 0.0).sum())
    return found if math.isfinite(found) else 0.0
