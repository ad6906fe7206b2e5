"""What the supervisor asks of a place where jobs run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from clary.formats.job_directory import JobDirectory
from clary.service.executors.replica_executor import ReplicaExecutor
from clary.service.requests.rule_configurations import Checker, RuleSpec, checkers_of, rules_of
from clary.service.requests.updates import merged


@dataclass(frozen=True)
class TrainingJobSpec:
    """A training job as its executor needs it. `request` is CreateTrainingJob's, verbatim.

    `updates` is what UpdateTrainingJob has changed of it since (`clary.service.requests.updates`).
    `directory` is the job's own, `jobs/<name>` of the home. `environment` is what Clary adds to
    the job's environment: endpoint, region and credentials. `created_ms`, when the job was created,
    tells it from an earlier one of the same name. `tuning_job` is the name of the tuning job whose
    trial it is: trials of one may share a process (`clary.formats.builtin_algorithm.lane_key`).
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    directory: JobDirectory
    environment: Mapping[str, str]
    created_ms: int = 0
    tuning_job: str | None = None
    updates: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_effect(self) -> Mapping[str, Any]:
        """The request with what was changed of it."""
        return merged(self.request, self.updates)

    @property
    def rules(self) -> tuple[RuleSpec, ...]:
        """Its rules, of all kinds."""
        return rules_of(self.request, self.updates)

    @property
    def checkers(self) -> tuple[Checker, ...]:
        """The processes that check its rules."""
        return checkers_of(self.request, self.directory.root, self.updates)

    @property
    def identity(self) -> str:
        """What no other job has, not even a later one of the same name."""
        return f"{self.arn} {self.created_ms}"

    @property
    def host_names(self) -> tuple[str, ...]:
        """`algo-1` to `algo-N`."""
        return host_names(self.request)


def host_names(request: Mapping[str, Any]) -> tuple[str, ...]:
    """`algo-1` to `algo-N`, as a CreateTrainingJob asks for them."""
    resources = request.get("ResourceConfig") or {}
    groups = resources.get("InstanceGroups") or ()
    count = sum(int(group["InstanceCount"]) for group in groups) or int(
        resources.get("InstanceCount") or 1
    )
    return tuple(f"algo-{number}" for number in range(1, count + 1))


@dataclass(frozen=True)
class HostLog:
    """The log of one host: `clary.formats.log_file`. `stream` is its name in CloudWatch Logs."""

    stream: str
    path: Path


@dataclass(frozen=True)
class Waiting:
    """Not launched, or launched and not yet in user code."""


@dataclass(frozen=True)
class Running:
    """The user's code runs since `since`."""

    since: datetime


@dataclass(frozen=True)
class Ended:
    """All hosts have ended.

    `exit_code` counts as a shell does (128 + the signal); `failure` is the reason as users see
    it in FailureReason, None when the exit code is 0.
    """

    exit_code: int
    failure: str | None
    at: datetime


@dataclass(frozen=True)
class Gone:
    """Launched, but its processes are gone without having said how they ended."""

    reason: str


Observation = Waiting | Running | Ended | Gone


@dataclass(frozen=True)
class Artifacts:
    """What was uploaded: S3 URIs, None where there was nothing."""

    model: str | None
    output: str | None


@dataclass(frozen=True)
class Message:
    """What a rule has to tell somebody. `folder` is its own: a message is sent once."""

    folder: Path
    content: Mapping[str, Any]


class Checkers(Protocol):
    """Runs the processes that check rules, and sends what rules have to tell.

    Owned by the executor, asked by the supervisor on worker threads, at most one call per job at
    a time. Every method may be called again after a crash at any point: what was done is found
    and not done twice.
    """

    def start(self, job: TrainingJobSpec, checker: Checker) -> None:
        """Start a checker that does not live, for the first time or again.

        Raises:
            ClaryError: a custom rule cannot be had, or no process can be started.
        """

    def starts(self, checker: Checker) -> int:
        """How often it was started."""

    def lives(self, checker: Checker) -> bool:
        """Whether its process runs."""

    def last_words(self, checker: Checker) -> str:
        """The last line that its process printed; empty when it printed nothing."""

    def end(self, checker: Checker, *, at_once: bool = False) -> None:
        """Ask the process to end (SIGTERM), or end it at once (SIGKILL)."""

    def stop_rule(self, checker: Checker, configuration: str) -> None:
        """Ask that one of its rules be judged no more.

        Raises:
            StorageError: it cannot be told.
        """

    def training_ended(self, job: TrainingJobSpec) -> None:
        """Tell all checkers of a job that nothing more will come to judge.

        Raises:
            StorageError: they cannot be told.
        """

    def collect(self, job: TrainingJobSpec) -> None:
        """Store what the rules of a job have found; where that fails, the job's log says so."""

    def send(self, message: Message) -> str | None:
        """Send a message that was not sent yet; what became of it, None while it is under way.

        Raises:
            ClaryError: no process can be started for it.
        """


class Executor(Protocol):
    """Runs the hosts of training jobs.

    Owned by the supervisor. `prepare` and `collect` may take long and are called on worker
    threads, at most one call per job at a time; the others return at once. Every method may be
    called again after a crash at any point: what was done is found and not done twice.
    """

    @property
    def checkers(self) -> Checkers:
        """What checks the rules of the jobs."""

    @property
    def replicas(self) -> ReplicaExecutor:
        """What runs the replicas of endpoints."""

    def prepare(self, job: TrainingJobSpec, say: Callable[[str], None]) -> None:
        """Make the job's directory, bring its data and its code.

        Args:
            job: what to prepare.
            say: takes a status message, such as "Downloading input data".

        Raises:
            ClaryError: the data, the code or the environment cannot be had; the sentence becomes
                the FailureReason.
        """

    def launch(self, job: TrainingJobSpec) -> None:
        """Start the job's hosts; a job that was launched before is left alone.

        Raises:
            ClaryError: no process can be started.
        """

    def configure(self, job: TrainingJobSpec) -> None:
        """Let the hosts of a job that runs read what was changed of its request.

        Raises:
            StorageError: they cannot be told.
        """

    def look(self, job: TrainingJobSpec) -> Observation:
        """How the job stands."""

    def logs(self, job: TrainingJobSpec) -> tuple[HostLog, ...]:
        """The logs that exist so far, a host each."""

    def processes(self, job: TrainingJobSpec) -> Mapping[str, int]:
        """Of each host that runs, the id of the process above all its processes."""

    def terminate(self, job: TrainingJobSpec) -> None:
        """Ask all processes of the job to end (SIGTERM)."""

    def kill(self, job: TrainingJobSpec) -> None:
        """End all processes of the job (SIGKILL)."""

    def collect(self, job: TrainingJobSpec) -> Artifacts:
        """Upload model, output and checkpoints.

        Raises:
            ClaryError: they cannot be packed or stored; the sentence becomes the FailureReason.
        """

    def discard(self, job: TrainingJobSpec) -> None:
        """Forget an ended job: its directory goes."""

    def close(self) -> None:
        """Let go of helpers; running jobs go on."""
