"""Transform jobs as host processes: `clary.jobs.transform` in `clary.jobs.host`.

| method               | what tells it                                                            |
|----------------------|--------------------------------------------------------------------------|
| `launch`             | `.launched` is made once in every host's folder                          |
| `look`               | each host's lock, `.started.json`, `.ended.json`, `output/failure`       |
| `terminate`, `kill`  | the process ids in the locks                                             |

Nothing about a running job is kept in memory that a new service would not find again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.formats.job_directory import FAILURE_LIMIT, JobDirectory
from clary.formats.launch import HostEnded, HostFiles, HostStarted, launched_marker
from clary.gpus import count_gpus
from clary.service.executors.executor import Ended, Gone, HostLog, Observation, Running, Waiting
from clary.service.executors.ownership import owns_folder, take_folder
from clary.service.executors.replica_executor import ReplicaSpec
from clary.service.executors.replicas.processes import ReplicaProcesses
from clary.service.executors.served_models import PreparedModel
from clary.service.executors.transform_executor import TransformSpec
from clary.service.executors.transforms.plans import transform_plan, write_plans
from clary.service.executors.transforms.results import store_outputs

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

logger = logging.getLogger(__name__)

_PROGRAM = "clary.jobs.transform"
# What a body may have where the job allows any size.
_ANY_SIZE = 1 << 40


class TransformProcesses:
    """Runs the hosts of transform jobs. Thread-safe for different jobs.

    `prepare`, `launch` and `collect` may take long. Every method may be called again after a crash
    at any point: what was done is found and not done twice.

    Args:
        store: the buckets.
        replicas: prepares models, and starts what serves them.
    """

    def __init__(self, store: ObjectStore, replicas: ReplicaProcesses) -> None:
        self._store = store
        self._replicas = replicas

    def prepare(self, job: TransformSpec) -> None:
        """Bring the model, and tell every host what to transform.

        Raises:
            ClaryError: there is nothing to transform, or the model cannot be had.
        """
        take_folder(job)
        for folder in job.hosts:
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        write_plans(job, self._store)
        self._replicas.preparation.prepare(job.source, job.prepared)

    def launch(self, job: TransformSpec) -> None:
        """Start the job's hosts, each once.

        Raises:
            ClaryError: no process can be started.
            StorageError: a folder cannot be written.
        """
        prepared = PreparedModel.read(job.prepared) if owns_folder(job) else None
        if prepared is None:
            raise ClaryError(
                f"{job.directory.root} does not hold what {job.name} needs: it was deleted or "
                "replaced after the job was prepared; create the job again"
            )
        for number, folder in enumerate(job.hosts):
            if not launched_marker(folder).exists():
                self._replicas.start(_replica(job, prepared, number), module=_PROGRAM)

    def look(self, job: TransformSpec) -> Observation:
        """How a job that was prepared stands; it has ended when all its hosts have."""
        hosts = job.host_files
        if not owns_folder(job):
            return Gone(
                f"InternalServerError: {job.directory.root} was deleted or replaced while the job "
                "ran: create the job again under another name"
            )
        if not any(launched_marker(one.root).exists() for one in hosts):
            return Waiting()
        for folder in job.hosts:
            self._replicas.look(folder)  # takes note of processes that have ended
        living = [files for files in hosts if files.is_held()]
        ends = [HostEnded.read(files) for files in hosts if files not in living]
        if living:
            starts = [HostStarted.read(files) for files in hosts]
            since = [start.since_ms for start in starts if start is not None]
            return Running(_moment(min(since))) if since else Waiting()
        if None in ends:
            return Gone(
                "InternalServerError: a process of the job is gone without having said how it "
                "ended: it was killed, or the machine went down"
            )
        ended = [end for end in ends if end is not None]
        failed = [(end, files) for end, files in zip(ended, hosts, strict=True) if end.exit_code]
        at = _moment(max(end.at_ms for end in ended))
        if not failed:
            return Ended(0, None, at)
        end, files = min(failed, key=lambda pair: pair[0].at_ms)
        return Ended(end.exit_code, _failure(end, files), at)

    def logs(self, job: TransformSpec) -> tuple[HostLog, ...]:
        """The logs that exist so far, a host each."""
        return tuple(self._logs(job)) if owns_folder(job) else ()

    def processes(self, job: TransformSpec) -> Mapping[str, int]:
        """Of each instance that runs, the id of the process above all its processes."""
        if not owns_folder(job):
            return {}
        holders = {
            instance: self._replicas.process(folder)
            for instance, folder in zip(job.instances, job.hosts, strict=True)
        }
        return {instance: pid for instance, pid in holders.items() if pid is not None}

    def terminate(self, job: TransformSpec) -> None:
        """Ask all processes of the job to end, an installation of requirements too.

        Raises:
            StorageError: they cannot be told.
        """
        self._replicas.preparation.cancel(job.identity)
        if owns_folder(job):
            for folder in job.hosts:
                self._replicas.terminate(folder)

    def kill(self, job: TransformSpec) -> None:
        """End all processes of the job.

        Raises:
            StorageError: they cannot be told.
        """
        self._replicas.preparation.cancel(job.identity)
        if owns_folder(job):
            for folder in job.hosts:
                self._replicas.kill(folder)

    def collect(self, job: TransformSpec) -> None:
        """Store the outputs.

        Raises:
            ClaryError: they cannot be stored.
        """
        store_outputs(job, self._store)

    def tidy(self, job: TransformSpec) -> None:
        """Delete what a job that has ended leaves on the disk, but for its logs."""
        self._replicas.preparation.forget(job.identity)
        if not owns_folder(job):
            return
        try:
            for folder in job.hosts:
                self._replicas.discard(folder)
            with storage_errors(job.prepared):
                if job.prepared.exists():
                    shutil.rmtree(job.prepared)
        except ClaryError as error:
            logger.warning("A part of %s is left behind: %s", job.directory.root, error)

    def _logs(self, job: TransformSpec) -> Iterator[HostLog]:
        for instance, folder in zip(job.instances, job.hosts, strict=True):
            marker, log = launched_marker(folder), self._replicas.log(folder)
            if marker.exists() and log.exists():
                yield HostLog(f"{job.name}/{instance}-{marker.read_text()}", log)


def _replica(job: TransformSpec, prepared: PreparedModel, number: int) -> ReplicaSpec:
    plan = transform_plan(job)
    return ReplicaSpec(
        endpoint=job.name,
        variant="transform",
        instance=job.instances[number],
        folder=job.hosts[number],
        prepared=prepared,
        environment=job.environment,
        deadline_s=plan.timeout_s,
        max_body_bytes=plan.max_payload_bytes or _ANY_SIZE,
        gpu=number % count_gpus() if job.on_gpu else None,
    )


def _failure(ended: HostEnded, files: HostFiles) -> str:
    """What the program has said in AWS's words; what its host says where it could not."""
    path = JobDirectory(files.root).failure
    if path.exists():
        said = path.read_text(encoding="utf-8", errors="replace").strip()
        if said:
            return said[:FAILURE_LIMIT]
    return ended.failure or f"AlgorithmError: , exit code: {ended.exit_code}"


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc)
