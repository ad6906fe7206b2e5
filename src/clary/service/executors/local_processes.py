"""Jobs as processes of this machine: a host process for each host, `clary.jobs.host`.

Trials of a tuning job that share a frozen backbone have one in common: `clary.jobs.lane`.

| method               | what tells it                                                            |
|----------------------|--------------------------------------------------------------------------|
| `launch`             | `.launched` is made once: a job is never started twice                   |
| `look`               | each host's lock, `.started.json` and `.ended.json`                      |
| `terminate`, `kill`  | the process ids in the locks                                             |

Nothing about a running job is kept in memory that a new service would not find again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from clary.errors import ClaryError, StorageError
from clary.formats.files import storage_errors
from clary.formats.launch import HostEnded, HostStarted, Isolation, launched_marker
from clary.service.executors.channels import CHANGES
from clary.service.executors.checkpoints import PERIOD_S, Checkpoints
from clary.service.executors.configuration import write_profiler_configuration
from clary.service.executors.debug_outputs import PERIOD_S as DEBUG_PERIOD_S
from clary.service.executors.debug_outputs import (
    complete_tensors,
    output_mirrors,
    write_board,
)
from clary.service.executors.executor import (
    Artifacts,
    Ended,
    Gone,
    HostLog,
    Observation,
    Running,
    TrainingJobSpec,
    Waiting,
)
from clary.service.executors.hosts import HostProcesses
from clary.service.executors.lanes import Key, Lanes
from clary.service.executors.mirrors import Mirrors
from clary.service.executors.outputs import upload_outputs
from clary.service.executors.ownership import move_aside, owns_folder
from clary.service.executors.places import HostPlace, host_places
from clary.service.executors.preparation import Preparation
from clary.service.executors.process_groups import kill_hosts, stop_hosts
from clary.service.executors.profile_outputs import PERIOD_S as PROFILE_PERIOD_S
from clary.service.executors.profile_outputs import profile_mirrors, write_framework_events
from clary.service.executors.replicas.processes import ReplicaProcesses
from clary.service.executors.requirements import Requirements
from clary.service.executors.rule_checkers import RuleCheckers
from clary.service.executors.storing import store_at_end
from clary.service.executors.surroundings import inherited_environment
from clary.service.executors.transforms.processes import TransformProcesses
from clary.service.executors.warm_hosts import WarmParent
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

# When one host has failed, the others have this long to end by themselves.
_SIBLING_GRACE_S = 10.0


class LocalProcesses:
    """Implements `clary.service.executors.executor.Executor`; thread-safe for different jobs.

    Args:
        settings: whose home keeps the environments.
        store: the buckets.
        warm: keep a process that has torch loaded, so that jobs start at once.
        isolation: how /opt/ml is made; found out by trying when None.
        checkpoint_period_s: how often the checkpoints of running jobs are uploaded.
        debug_period_s: how often what the debugger writes is uploaded.
        profile_period_s: how often what the profiler writes is uploaded.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        *,
        warm: bool = True,
        isolation: Isolation | None = None,
        checkpoint_period_s: float = PERIOD_S,
        debug_period_s: float = DEBUG_PERIOD_S,
        profile_period_s: float = PROFILE_PERIOD_S,
    ) -> None:
        self._store = store
        self._debug_outputs = Mirrors(
            store, output_mirrors, period_s=debug_period_s, name="debug-outputs"
        )
        self._profiles = Mirrors(store, profile_mirrors, period_s=profile_period_s, name="profiles")
        self._checkers = RuleCheckers(settings, store, period_s=debug_period_s)
        self._checkpoints = Checkpoints(store, period_s=checkpoint_period_s)
        self._requirements = Requirements(settings.environments_dir)
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="isolation")
        self._isolation: Future[Isolation] = self._asking.submit(
            _allowed_isolation if isolation is None else lambda: isolation
        )
        self._preparation = Preparation(
            store, self._requirements, self._checkpoints, self._isolation.result
        )
        self._warm = WarmParent(inherited_environment()) if warm else None
        self._lanes = Lanes(self._warm)
        self._hosts = HostProcesses(self._warm)
        self._replicas = ReplicaProcesses(
            settings, store, self._hosts, self._requirements, self._isolation.result
        )
        self._transforms = TransformProcesses(store, self._replicas)
        self._failed_since: dict[str, float] = {}

    @property
    def is_warm(self) -> bool:
        """Whether the next job finds torch loaded."""
        return self._warm is not None and self._warm.is_warm

    @property
    def checkers(self) -> RuleCheckers:
        """What checks the rules of the jobs."""
        return self._checkers

    @property
    def replicas(self) -> ReplicaProcesses:
        """What runs the replicas of endpoints."""
        return self._replicas

    @property
    def transforms(self) -> TransformProcesses:
        """What runs transform jobs."""
        return self._transforms

    def prepare(self, job: TrainingJobSpec, say: Callable[[str], None]) -> None:
        """Make the job's directory, bring its data and its code.

        Raises:
            ClaryError: the data, the code or the environment cannot be had.
        """
        self._preparation.prepare(job, say)

    def launch(self, job: TrainingJobSpec) -> None:
        """Start the job's hosts, once.

        Raises:
            ClaryError: no process can be started.
            StorageError: the job's directory cannot be written.
        """
        if not owns_folder(job):
            raise ClaryError(
                f"{job.directory.root} does not hold what {job.name} needs: it was deleted or "
                "replaced after the job was prepared; create the job again"
            )
        marker = launched_marker(job.directory.root)
        with storage_errors(marker):
            try:
                with marker.open("x") as file:
                    file.write(str(int(time.time())))
            except FileExistsError:
                return
        lane = Lanes.key(job)
        for host in _places(job):
            self._start(host, lane)
        self._follow(job)

    def configure(self, job: TrainingJobSpec) -> None:
        """Let the hosts of a job that runs read what was changed of its request.

        Raises:
            StorageError: they cannot be told.
        """
        if _is_launched(job):
            for host in _places(job):
                write_profiler_configuration(job, host.directory)

    def look(self, job: TrainingJobSpec) -> Observation:
        """How the job stands."""
        self._hosts.reap()
        self._lanes.reap()
        if not _is_launched(job):
            return Waiting()
        hosts = _places(job)
        living = [host for host in hosts if host.files.is_held()]
        ends = {host.name: HostEnded.read(host.files) for host in hosts if host not in living}
        lost = [name for name, end in ends.items() if end is None]
        if lost:
            self.kill(job)
            return Gone(
                f"the process of {lost[0]} is gone without having said how it ended: it was "
                "killed, or the machine went down"
            )
        ended = [end for end in ends.values() if end is not None]
        if living:
            self._follow(job)
            self._end_siblings(job, ended)
            starts = [HostStarted.read(host.files) for host in hosts]
            since = [start.since_ms for start in starts if start is not None]
            return Running(_moment(min(since))) if since else Waiting()
        self._failed_since.pop(job.name, None)
        failed = [end for end in ended if end.exit_code != 0]
        decisive = min(failed, key=lambda end: end.at_ms) if failed else ended[0]
        at = max(end.at_ms for end in ended)
        return Ended(decisive.exit_code, decisive.failure, _moment(at))

    def logs(self, job: TrainingJobSpec) -> tuple[HostLog, ...]:
        """The logs that exist so far, a host each."""
        if not _is_launched(job):
            return ()
        launched = launched_marker(job.directory.root).read_text()
        return tuple(
            HostLog(f"{job.name}/{host.name}-{launched}", host.log)
            for host in _places(job)
            if host.log.exists()
        )

    def processes(self, job: TrainingJobSpec) -> Mapping[str, int]:
        """The process above all others of each host that runs."""
        if not owns_folder(job):
            return {}
        holders = {host.name: host.files.holder() for host in _places(job)}
        return {name: pid for name, pid in holders.items() if pid is not None}

    def terminate(self, job: TrainingJobSpec) -> None:
        """Ask all processes of the job to end, an installation of requirements too."""
        self._requirements.cancel(job.identity)
        if _is_launched(job):
            stop_hosts([host.files for host in _places(job)], shared=_may_share(job))

    def kill(self, job: TrainingJobSpec) -> None:
        """End all processes of the job."""
        self._requirements.cancel(job.identity)
        if _is_launched(job):
            kill_hosts([host.files for host in _places(job)], shared=_may_share(job))

    def collect(self, job: TrainingJobSpec) -> Artifacts:
        """Upload checkpoints, what debugger and profiler saw, model and output.

        Raises:
            ClaryError: they cannot be packed or stored.
        """
        self._checkpoints.finish(job)
        for store in (complete_tensors, write_board, self._debug_outputs.finish):
            store_at_end(job, store, "what the debugger saw")
        for store in (write_framework_events, self._profiles.finish):
            store_at_end(job, store, "what the profiler saw")
        return upload_outputs(job, _places(job), self._store)

    def discard(self, job: TrainingJobSpec) -> None:
        """Forget an ended job: its directory goes.

        Raises:
            StorageError: something in it cannot be deleted; it has another name now.
        """
        self._requirements.forget(job.identity)
        if not owns_folder(job):
            return
        root = job.directory.root
        try:
            with storage_errors(root):
                # Overlays leave a folder that not even its owner may look into.
                for host in _places(job):
                    for folder in (host.root / CHANGES).glob("*/work"):
                        for inside in folder.iterdir():
                            inside.chmod(0o700)
                shutil.rmtree(root)
        except StorageError as error:
            raise StorageError(f"{error}; what is left is in {move_aside(root)}") from error

    def close(self) -> None:
        """Let go of the warm parent and the threads; running jobs go on."""
        self._asking.shutdown()
        self._checkpoints.close()
        self._debug_outputs.close()
        self._profiles.close()
        self._checkers.close()
        self._lanes.close()
        if self._warm is not None:
            self._warm.close()

    def _follow(self, job: TrainingJobSpec) -> None:
        self._checkpoints.follow(job)
        self._debug_outputs.follow(job)
        self._profiles.follow(job)
        self._checkers.follow(job)

    def _start(self, host: HostPlace, lane: Key | None) -> None:
        lock = host.files.hold()
        try:
            if lane is not None:
                self._lanes.start(lane, host, lock)
                return
            self._hosts.start(host.files, lock)
        finally:
            os.close(lock)

    def _end_siblings(self, job: TrainingJobSpec, ended: list[HostEnded]) -> None:
        """A job of several hosts fails with the first of them."""
        if not any(end.exit_code for end in ended):
            return
        now = time.monotonic()
        since = self._failed_since.setdefault(job.name, now)
        if since == now:
            self.terminate(job)
        elif now - since > _SIBLING_GRACE_S:
            self.kill(job)


def _allowed_isolation() -> Isolation:
    """What this machine allows, tried once, in a process of its own."""
    asked = subprocess.run(
        [sys.executable, "-m", "clary.jobs.host.namespace"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd="/",
        env={**inherited_environment(), "PYTHONSAFEPATH": "1"},
        start_new_session=True,  # Ctrl-C is the service's
    )
    for known in ("namespace", "bubblewrap", "none"):
        if asked.stdout == known:
            return known
    raise StorageError("clary.jobs.host.namespace cannot say what this system allows: it failed")


def _is_launched(job: TrainingJobSpec) -> bool:
    return owns_folder(job) and launched_marker(job.directory.root).exists()


def _may_share(job: TrainingJobSpec) -> bool:
    """Whether the job's host has other jobs, as it says itself, or as it may before it can."""
    starts = [HostStarted.read(host.files) for host in _places(job)]
    groups = [start.group for start in starts if start is not None]
    return None in groups or (not groups and Lanes.key(job) is not None)


def _places(job: TrainingJobSpec) -> tuple[HostPlace, ...]:
    # Isolation matters to what processes see, not to where their files lie.
    return host_places(job, "namespace")


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc)
