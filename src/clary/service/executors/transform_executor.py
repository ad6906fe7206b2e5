"""What the supervisor asks of a place where batch transform jobs run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from clary.formats.job_directory import JobDirectory
from clary.formats.launch import HostFiles
from clary.gpus import count_gpus
from clary.service.executors.executor import HostLog, Observation
from clary.service.executors.gpus import is_gpu_type
from clary.service.executors.served_models import ModelSource

DEFAULT_PAYLOAD_MB = 6


@dataclass(frozen=True)
class TransformSpec:
    """A transform job. `request` is CreateTransformJob's, `model` CreateModel's, both verbatim.

    `directory` is the job's own, `transforms/<name>` of the home. `environment` is what Clary adds
    to its processes' environment. `created_ms` tells it from an earlier job of the same name.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    model: Mapping[str, Any]
    directory: JobDirectory
    environment: Mapping[str, str]
    created_ms: int

    @property
    def identity(self) -> str:
        """What no other job has, not even a later one of the same name."""
        return f"{self.arn} {self.created_ms}"

    @property
    def prepared(self) -> Path:
        """Where the model lies ready."""
        return self.directory.root / "prepared"

    @cached_property
    def instances(self) -> tuple[str, ...]:
        """The ids of its instances, the same whenever they are asked for."""
        count = int(self.request["TransformResources"]["InstanceCount"])
        return tuple(
            "i-" + hashlib.sha256(f"{self.identity} {number}".encode()).hexdigest()[:17]
            for number in range(count)
        )

    @property
    def hosts(self) -> tuple[Path, ...]:
        """The folder of each instance."""
        return tuple(self.directory.root / "hosts" / instance for instance in self.instances)

    @property
    def host_files(self) -> tuple[HostFiles, ...]:
        """What is exchanged with each host process."""
        return tuple(HostFiles(folder) for folder in self.hosts)

    @property
    def payload_mb(self) -> int:
        """How large a request may be; 0 for any size."""
        given = self.request.get("MaxPayloadInMB")
        return DEFAULT_PAYLOAD_MB if given is None else int(given)

    @property
    def on_gpu(self) -> bool:
        """Whether its instances have GPUs, and this machine has, too."""
        instance_type = str(self.request["TransformResources"]["InstanceType"])
        return is_gpu_type(instance_type) and count_gpus() > 0

    @property
    def source(self) -> ModelSource:
        """The model, with the environment that the job gives its container."""
        account = self.arn.rpartition(":")[0]
        return ModelSource(
            identity=self.identity,
            arn=f"{account}:model/{self.request['ModelName']}",
            request=self.model,
            environment={**self._told(), **(self.request.get("Environment") or {})},
            on_gpu=self.on_gpu,
        )

    @property
    def created(self) -> datetime:
        """When it was created."""
        return datetime.fromtimestamp(self.created_ms / 1000, tz=timezone.utc)

    def _told(self) -> dict[str, str]:
        """What SageMaker tells a container of the job that it works for."""
        several = self.request.get("BatchStrategy", "MultiRecord") == "MultiRecord"
        told = {
            "SAGEMAKER_BATCH": "True",
            "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD" if several else "SINGLE_RECORD",
        }
        if self.payload_mb:
            told["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(self.payload_mb)
        if self.request.get("MaxConcurrentTransforms"):
            told["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(
                self.request["MaxConcurrentTransforms"]
            )
        return told


class TransformExecutor(Protocol):
    """Runs the hosts of transform jobs.

    Owned by the executor, asked by the supervisor. `prepare`, `launch`, `collect` and `tidy` may
    take long and are called on worker threads, at most one call per job at a time; the others
    return at once. Every method may be called again after a crash at any point: what was done is
    found and not done twice.
    """

    def prepare(self, job: TransformSpec) -> None:
        """Bring the model, and tell every host what to transform.

        Raises:
            ClaryError: there is nothing to transform, or the model cannot be had; the sentence
                becomes the FailureReason.
        """

    def launch(self, job: TransformSpec) -> None:
        """Start the job's hosts, each once.

        Raises:
            ClaryError: no process can be started.
        """

    def look(self, job: TransformSpec) -> Observation:
        """How a job that was prepared stands; it has ended when all its hosts have."""

    def logs(self, job: TransformSpec) -> tuple[HostLog, ...]:
        """The logs that exist so far, a host each."""

    def processes(self, job: TransformSpec) -> Mapping[str, int]:
        """Of each instance that runs, the id of the process above all its processes."""

    def terminate(self, job: TransformSpec) -> None:
        """Ask all processes of the job to end (SIGTERM)."""

    def kill(self, job: TransformSpec) -> None:
        """End all processes of the job (SIGKILL)."""

    def collect(self, job: TransformSpec) -> None:
        """Store the outputs of all objects that were transformed.

        Raises:
            ClaryError: they cannot be stored; the sentence becomes the FailureReason.
        """

    def tidy(self, job: TransformSpec) -> None:
        """Delete what a job that has ended leaves on the disk, but for its logs."""
