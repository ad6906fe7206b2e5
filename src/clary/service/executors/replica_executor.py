"""What the supervisor asks of a place where the replicas of endpoints run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from clary.formats.replica import MAX_BODY_BYTES
from clary.service.executors.served_models import ModelSource, PreparedModel

# What InvokeEndpoint waits for, by SageMaker's documentation.
DEADLINE_S = 60.0


@dataclass(frozen=True)
class ReplicaSpec:
    """One replica, or what else serves a prepared model.

    folder:          its own; becomes `/opt/ml` for people's handlers
    environment:     what Clary adds: endpoint, region, credentials, search path
    deadline_s, max_body_bytes:  the bounds of a request, where the container sets no others
    gpu:             the number of the GPU that it has; None for none
    """

    endpoint: str
    variant: str
    instance: str
    folder: Path
    prepared: PreparedModel
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = DEADLINE_S
    max_body_bytes: int = MAX_BODY_BYTES
    gpu: int | None = None


@dataclass(frozen=True)
class Unlaunched:
    """It was never started."""


@dataclass(frozen=True)
class Alive:
    """Its host lives; `port` is where it takes requests, None when it does not yet."""

    port: int | None


@dataclass(frozen=True)
class Over:
    """It has ended, and why; the sentence is empty where it was asked to.

    `told` says that it had the time to say so itself.
    """

    reason: str
    told: bool = True


Sight = Unlaunched | Alive | Over


class ModelPreparation(Protocol):
    """Prepares models.

    Owned by the replicas' executor; called on worker threads, at most one call per folder at a
    time. Every method may be called again after a crash at any point.
    """

    def prepare(self, source: ModelSource, folder: Path) -> PreparedModel:
        """Make what replicas of a model need; what was made before is found.

        Raises:
            ClaryError: data, code or interpreter cannot be had; the sentence becomes the
                FailureReason.
        """

    def bring_one(self, source: ModelSource, target: str, folder: Path) -> None:
        """Fetch one of the models of a multi-model container into an empty folder.

        Raises:
            ClaryError: there is no such archive, or it cannot be unpacked or served.
        """

    def cancel(self, identity: str) -> None:
        """End what is being installed for a model, and install nothing more for it."""

    def forget(self, identity: str) -> None:
        """The model is gone, and with it that it was cancelled."""


class ReplicaExecutor(Protocol):
    """Runs replicas, each in a folder of its own.

    Owned by the executor. `start`, `answers`, `kill` and `discard` may take seconds and are called
    on worker threads; the others return at once. Every method may be called again after a crash at
    any point: what was done is found and not done twice.
    """

    @property
    def preparation(self) -> ModelPreparation:
        """What prepares models."""

    def start(self, spec: ReplicaSpec) -> None:
        """Start a replica; one that was started before is left alone.

        Raises:
            ClaryError: no process can be started.
        """

    def look(self, folder: Path) -> Sight:
        """How a replica stands."""

    def answers(self, port: int) -> bool:
        """Whether the replica that listens there says that it serves."""

    def process(self, folder: Path) -> int | None:
        """The process above all others of a replica that lives."""

    def gpu(self, folder: Path) -> int | None:
        """The GPU that a replica was given; None for none."""

    def log(self, folder: Path) -> Path:
        """Where its log is (`clary.formats.log_file`)."""

    def terminate(self, folder: Path) -> None:
        """Ask a replica to answer what it has accepted, and to end (SIGTERM)."""

    def kill(self, folder: Path) -> None:
        """End all processes of a replica (SIGKILL)."""

    def discard(self, folder: Path) -> None:
        """Delete the folder of a replica that has ended, but for its log."""

    def living(self, root: Path) -> Iterable[Path]:
        """The folders of all replicas below a folder of endpoints whose hosts live."""
