"""What a job runs: the built-in algorithm, an entry point of its own, or a script.

| request                                     | program                                          |
|---------------------------------------------|--------------------------------------------------|
| image `clary/image-classification`          | `clary.jobs.train`                               |
| ContainerEntrypoint                         | that command, as the SDK v3 starts everything    |
| hyperparameter `sagemaker_program`          | the script, as the training toolkit starts it    |
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clary.errors import ClaryError
from clary.formats.builtin_algorithm import names_image
from clary.formats.launch import InProcess
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.places import HostPlace
from clary.service.executors.script_mode import (
    PROGRAM,
    as_a_shell_passes,
    decoded_hyperparameters,
    user_arguments,
)

Kind = Literal["built-in", "entry point", "script"]

_TORCHRUN = ("sagemaker_torch_distributed_enabled", "sagemaker_pytorch_ddp_enabled")
_NOT_OFFERED = {
    "sagemaker_mpi_enabled": "MPI",
    "sagemaker_distributed_dataparallel_enabled": "smdistributed.dataparallel",
    "sagemaker_parameter_server_enabled": "the parameter server",
    "sagemaker_pytorch_xla_multi_worker_enabled": "PyTorch XLA",
}


@dataclass(frozen=True)
class Program:
    """What one host runs. `in_process` is None where it must be a fresh interpreter."""

    command: tuple[str, ...]
    working_directory: str
    in_process: InProcess | None = None


@dataclass(frozen=True)
class Machine:
    """What a host has: cores and GPUs, and the port on which the hosts meet."""

    cores: int
    gpus: int
    meeting_port: int


def program_kind(job: TrainingJobSpec) -> Kind:
    """Which of the three a job is.

    Raises:
        ClaryError: it is none of them.
    """
    algorithm = job.request.get("AlgorithmSpecification") or {}
    image = str(algorithm.get("TrainingImage") or algorithm.get("AlgorithmName") or "")
    if names_image(image):
        return "built-in"
    if algorithm.get("ContainerEntrypoint"):
        return "entry point"
    if PROGRAM in (job.request.get("HyperParameters") or {}):
        return "script"
    raise ClaryError(
        f"the image {image} holds a program that Clary does not have: Clary runs scripts "
        "(hyperparameter sagemaker_program, which framework estimators set), jobs with a "
        "ContainerEntrypoint, and its own image clary/image-classification"
    )


def built_in_program(job: TrainingJobSpec, host: HostPlace, machine: Machine) -> Program:
    """`clary.jobs.train` on the job's real directory, which all hosts share."""
    arguments = ("--job", str(job.directory.root))
    directory = str(job.directory.root)
    if len(host.names) > 1:
        launcher = _torchrun(sys.executable, host, 1, machine, "clary.jobs.train_together")
        command = (*launcher, "-m", "clary.jobs.train")
        return Program((*command, *arguments), directory)
    threads = machine.cores
    return Program(
        (sys.executable, "-m", "clary.jobs.train", *arguments),
        directory,
        InProcess(None, "clary.jobs.train", arguments, (), threads),
    )


def entry_point_program(job: TrainingJobSpec) -> Program:
    """The request's own command, in the root folder as in a container."""
    algorithm = job.request["AlgorithmSpecification"]
    words = (
        *algorithm["ContainerEntrypoint"],
        *(algorithm.get("ContainerArguments") or ()),
    )
    return Program(words, "/")


def script_program(job: TrainingJobSpec, host: HostPlace, machine: Machine, python: str) -> Program:
    """The script as the toolkit starts it: by kind of entry point, and under torchrun if asked.

    Args:
        job: whose script.
        host: on which host.
        machine: what the host has.
        python: the interpreter with the job's requirements.

    Raises:
        ClaryError: a way of running on several hosts is asked for that Clary does not offer.
    """
    hyperparameters = decoded_hyperparameters(job.request.get("HyperParameters") or {})
    name = str(hyperparameters[PROGRAM])
    arguments = as_a_shell_passes(user_arguments(hyperparameters))
    code = host.directory.root / "code"
    folder = str(host.seen.root / "code")
    for flag, what in _NOT_OFFERED.items():
        if _is_on(hyperparameters.get(flag)):
            raise ClaryError(
                f"{what} ({flag}) is not offered: use torchrun, "
                'distribution={"torch_distributed": {"enabled": True}}'
            )
    package = (code / "setup.py").is_file()
    if name.endswith(".py") or package:
        words = ("-m", name.removesuffix(".py").replace("/", ".")) if package else (name,)
        if any(_is_on(hyperparameters.get(flag)) for flag in _TORCHRUN):
            per_host = max(1, machine.gpus // len(host.names))
            launcher = _torchrun(python, host, per_host, machine)
            return Program((*launcher, *words, *arguments), folder)
        inside = None
        if not package and python == sys.executable:
            script = Path(folder, name)
            threads = max(1, machine.cores // len(host.names))
            inside = InProcess(str(script), None, tuple(arguments), (str(script.parent),), threads)
        return Program((python, *words, *arguments), folder, inside)
    line = f"./{shlex.quote(name)} {shlex.join(arguments)}".rstrip()
    return Program(("/bin/sh", "-c", line), folder)


def _torchrun(
    python: str,
    host: HostPlace,
    processes: int,
    machine: Machine,
    module: str = "torch.distributed.run",
) -> tuple[str, ...]:
    # The name algo-1 is known only where /etc/hosts can be the job's own.
    master = "127.0.0.1" if host.isolation == "none" else host.names[0]
    return (
        *(python, "-m", module),
        *("--nnodes", str(len(host.names)), "--nproc_per_node", str(processes)),
        *("--node_rank", str(host.number)),
        *("--master_addr", master, "--master_port", str(machine.meeting_port)),
    )


def _is_on(value: Any) -> bool:
    return value is True or str(value).lower() == "true"
