"""Whether the machine has room for one more training job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from clary.service.executors.executor import host_names
from clary.service.executors.gpus import count_gpus, is_gpu_type
from clary.service.state.training_jobs import TrainingJob

# What a process that has imported torch and holds a small network takes.
_HOST_BYTES = 600 << 20


@dataclass(frozen=True)
class Admission:
    """The rules by which queued jobs start, the oldest first.

    At most `max_jobs` run; on a machine with GPUs, jobs on GPU instances wait until there are
    GPUs for their hosts; a job waits while memory is short. A machine on which nothing runs takes
    any job.
    """

    max_jobs: int

    def obstacle(self, job: TrainingJob, running: Iterable[TrainingJob]) -> str | None:
        """Why a job has to wait, in a sentence; None when it may start."""
        others = list(running)
        if not others:
            return None
        if len(others) >= self.max_jobs:
            return (
                f"Waiting for room: {len(others)} training jobs run, CLARY_MAX_JOBS is "
                f"{self.max_jobs}"
            )
        gpus = count_gpus()
        wanted = _gpu_hosts(job)
        taken = sum(_gpu_hosts(other) for other in others)
        if gpus and wanted and taken + wanted > gpus:
            return f"Waiting for a GPU: {taken} of {gpus} are taken, and the job wants {wanted}"
        free_bytes = psutil.virtual_memory().available
        needed_bytes = _HOST_BYTES * len(host_names(job.request))
        if free_bytes < needed_bytes:
            return (
                f"Waiting for memory: {free_bytes >> 20} MB are free, and the job wants "
                f"{needed_bytes >> 20} MB"
            )
        return None


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
