"""What the supervisor asks of a place where jobs run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from clary.formats.job_directory import JobDirectory


@dataclass(frozen=True)
class TrainingJobSpec:
    """A training job as its executor needs it. `request` is CreateTrainingJob's, verbatim.

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


class Executor(Protocol):
    """Runs the hosts of training jobs.

    Owned by the supervisor. `prepare` and `collect` may take long and are called on worker
    threads, at most one call per job at a time; the others return at once. Every method may be
    called again after a crash at any point: what was done is found and not done twice.
    """

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
