"""Whether the machine has room for one more training job."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

import psutil

from clary.formats.builtin_algorithm import lane_key
from clary.gpus import count_gpus
from clary.service.executors.executor import host_names
from clary.service.executors.gpus import is_gpu_type
from clary.service.state.training_jobs import TrainingJob

# What a process that has imported torch and holds a small network takes.
_HOST_BYTES = 600 << 20


class Lack(Enum):
    """What a job may have to wait for."""

    ROOM = "room"
    GPU = "a GPU"
    MEMORY = "memory"
    MACHINE = "the whole machine"


# What every job takes a part of.
SHARED = (Lack.ROOM, Lack.MEMORY, Lack.MACHINE)


class Obstacle(NamedTuple):
    """Why a job has to wait: what it lacks, and a sentence that stays the same meanwhile."""

    lack: Lack
    sentence: str


class Admission:
    """The rules by which queued jobs start, the oldest first.

    At most `max_jobs` run; on a machine with GPUs, jobs on GPU instances wait until there are
    GPUs for their hosts; a job waits while memory is short. A machine on which nothing runs takes
    any job. A job that has waited long is not overtaken by those that want the same. Trials that
    train together in one process count as one and take nothing more than the first of them, but
    each keeps the process going: they join none that holds what an older job has waited long for.

    Owned by the supervisor's rounds, on whose thread all methods are called.
    """

    def __init__(self, max_jobs: int) -> None:
        self._max_jobs = max_jobs
        self._known_places: dict[int, Hashable] = {}

    def keep(self, active: Collection[int]) -> None:
        """Forget what is known of jobs with other numbers than these."""
        self._known_places = {
            number: place for number, place in self._known_places.items() if number in active
        }

    def is_full(self, running: Iterable[TrainingJob]) -> bool:
        """Whether nothing starts that takes a place of its own."""
        return len(self._places(running)) >= self._max_jobs

    def obstacle(
        self, job: TrainingJob, running: Iterable[TrainingJob], first: Mapping[Lack, str]
    ) -> Obstacle | None:
        """Why a job has to wait; None when it may start.

        Args:
            job: the job.
            running: those that run.
            first: the older job whose turn it is to get what has been lacking.
        """
        taken = self._places(running)
        if not taken:
            return None
        others = list(taken.values())
        joins = self._place(job) in taken
        if len(others) >= self._max_jobs and not joins:
            return Obstacle(
                Lack.ROOM,
                f"Waiting for room: {len(others)} training jobs run, CLARY_MAX_JOBS is "
                f"{self._max_jobs}",
            )
        gpus = count_gpus()
        wanted = _gpu_hosts(job) if gpus else 0
        for lack in (*SHARED, Lack.GPU) if wanted else SHARED:
            if lack in first:
                return Obstacle(
                    lack, f"Waiting for {lack.value}: {first[lack]} has waited longer, it is next"
                )
        if joins:
            return None
        if wanted > gpus:
            return Obstacle(
                Lack.MACHINE,
                f"Waiting for the whole machine: the job wants {wanted} GPUs, and it has {gpus}",
            )
        used = sum(_gpu_hosts(other) for other in others)
        if wanted and used + wanted > gpus:
            return Obstacle(
                Lack.GPU,
                f"Waiting for a GPU: {used} of {gpus} are taken, and the job wants {wanted}",
            )
        needed_bytes = _HOST_BYTES * len(host_names(job.request))
        if psutil.virtual_memory().available < needed_bytes:
            return Obstacle(
                Lack.MEMORY,
                f"Waiting for memory: the job wants {needed_bytes >> 20} MB, and less is free",
            )
        return None

    def _places(self, jobs: Iterable[TrainingJob]) -> dict[Hashable, TrainingJob]:
        """What takes room, each by the first job that does."""
        found: dict[Hashable, TrainingJob] = {}
        for job in jobs:
            found.setdefault(self._place(job), job)
        return found

    def _place(self, job: TrainingJob) -> Hashable:
        """What a job shares with those that train in the same process, and with no others."""
        if job.number not in self._known_places:
            place: Hashable = job.number
            if job.trial is not None:
                lane = lane_key(job.request, count_gpus())
                place = job.number if lane is None else (job.trial.tuning_number, lane)
            self._known_places[job.number] = place
        return self._known_places[job.number]


def _gpu_hosts(job: TrainingJob) -> int:
    resources = job.request.get("ResourceConfig") or {}
    count = len(host_names(job.request))
    instance_type = resources.get("InstanceType") or ""
    alike: Mapping[str, Any] = {"InstanceType": instance_type, "InstanceCount": count}
    return sum(
        int(group["InstanceCount"])
        for group in resources.get("InstanceGroups") or (alike,)
        if is_gpu_type(group["InstanceType"])
    )
