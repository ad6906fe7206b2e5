"""Where the profiler's files of a job lie, and which S3 folder gets them.

output/profiler of each host       <ProfilerConfig.S3OutputPath>/<job>/profiler-output/

Files of the machine bear the name of their host. Those of processes lie in folders that are called
alike on every host: of a job of several, they bear it in S3.

    timeline/worker_0/…                timeline/algo-2-worker_0/…
    system/failures.jsonl              system/algo-2-failures.jsonl
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from clary.errors import UsageError
from clary.formats.launch import host_root
from clary.formats.profiler_configuration import ProfilerConfiguration
from clary.service.executors.child_programs import run_program
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.mirrors import Mirrored
from clary.service.requests.updates import PROFILER

PERIOD_S = 5.0

FOLDER = "output/profiler"
EVENTS_PROGRAM = "clary.jobs.framework_events"
_TIMELINE = "timeline/"
_FAILURES = "system/failures.jsonl"


def profiler_folders(job: TrainingJobSpec) -> tuple[Path, ...]:
    """Where what is seen of each host is written."""
    return tuple(host_root(job.directory.root, name) / FOLDER for name in job.host_names)


def profile_uri(job: TrainingJobSpec) -> str | None:
    """The S3 folder of a job's profile, with its slash; None where nothing says that there is one.

    Of a job that is profiled no more, it holds what was seen before.
    """
    config = job.in_effect.get(PROFILER)
    if config is None:
        return None
    store = config.get("S3OutputPath") or job.request["OutputDataConfig"]["S3OutputPath"]
    return f"{str(store).rstrip('/')}/{job.name}/profiler-output/"


def profile_mirrors(job: TrainingJobSpec) -> tuple[Mirrored, ...]:
    """What is seen of the job's hosts."""
    uri = profile_uri(job)
    return () if uri is None else tuple(_mirrors(job, uri))


def write_framework_events(job: TrainingJobSpec) -> None:
    """Write the steps of a job that has ended as SageMaker's framework events, if it asks for them.

    Raises:
        ClaryError: they cannot be written.
    """
    folders = profiler_folders(job)
    if not _asks_for_events(job) or not any((one / "timeline").is_dir() for one in folders):
        return
    arguments = [*map(str, folders), "--output", str(folders[0])]
    run_program(EVENTS_PROGRAM, arguments, f"the framework events of {job.name}")


def _asks_for_events(job: TrainingJobSpec) -> bool:
    """Whether some steps were to be looked into, which SageMaker calls framework metrics."""
    try:
        config = ProfilerConfiguration.from_request(job.in_effect.get(PROFILER) or {})
    except UsageError:
        return False  # of an earlier Clary, which looked at none of it
    return bool(config.operators or config.functions or config.loading)


def _mirrors(job: TrainingJobSpec, uri: str) -> Iterator[Mirrored]:
    several = len(job.host_names) > 1
    for name, folder in zip(job.host_names, profiler_folders(job), strict=True):
        memory = host_root(job.directory.root, name) / ".profile-stored.json"
        named = partial(_named, name) if several else None
        yield Mirrored(folder, uri, memory, growing=True, named=named)


def _named(host: str, name: str) -> str:
    if name.startswith(_TIMELINE):
        return f"{_TIMELINE}{host}-{name.removeprefix(_TIMELINE)}"
    if name == _FAILURES:
        folder, _, file = name.rpartition("/")
        return f"{folder}/{host}-{file}"
    return name
