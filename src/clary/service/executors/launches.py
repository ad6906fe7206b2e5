"""What one host is told: everything that was prepared for it, as one `Launch`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from clary.cores import limit_threads
from clary.formats.launch import BASE, FIRST_HOST, Launch
from clary.formats.profiler_configuration import (
    CONFIGURATION_VARIABLE,
    FOLDER_VARIABLE,
    NODE_VARIABLE,
)
from clary.service.executors.channels import HostChannels
from clary.service.executors.configuration import PROFILER_FILE, resource_configuration
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.gpus import is_gpu_type
from clary.service.executors.places import HostPlace
from clary.service.executors.profile_outputs import FOLDER
from clary.service.executors.programs import (
    Kind,
    Machine,
    Program,
    built_in_program,
    entry_point_program,
    program_kind,
    script_program,
)
from clary.service.executors.script_mode import decoded_hyperparameters, variables
from clary.service.executors.surroundings import job_environment, wants_fresh_interpreter
from clary.service.requests.updates import PROFILER


def make_launch(
    job: TrainingJobSpec,
    host: HostPlace,
    placed: HostChannels,
    machine: Machine,
    *,
    python: str,
    token: str,
) -> Launch:
    """Put together what a host process needs to know.

    Args:
        job: whose host it is.
        host: which one.
        placed: its channels.
        machine: what the host has.
        python: the interpreter that has what the code requires.
        token: marks all processes of this launch.

    Raises:
        ClaryError: the request asks for what Clary does not offer.
    """
    kind = program_kind(job)
    program = _program(job, host, kind, machine, python)
    resources = resource_configuration(job, host)
    told = variables(
        host,
        decoded_hyperparameters(job.request.get("HyperParameters") or {}),
        placed.config,
        resources,
        (machine.cores, machine.gpus),
    )
    told["CLARY_LAUNCH"] = token
    if kind != "built-in" and job.in_effect.get(PROFILER) is not None:
        # A disabled one too: it may be turned on while the job runs.
        told |= _of_the_profiler(host)
    if host.isolation == "none":
        told["SAGEMAKER_BASE_DIR"] = str(host.base)
    environment = job_environment(job, python, told)
    limit_threads(environment, max(1, machine.cores // len(host.names)))
    if len(host.names) > 1:
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            environment.setdefault(name, resources["network_interface_name"])
    if python != sys.executable:
        environment["VIRTUAL_ENV"] = str(Path(python).parent.parent)
    if kind == "built-in":
        environment["PYTHONSAFEPATH"] = "1"  # no module is looked for among the job's files
    fresh = (
        wants_fresh_interpreter(job.request.get("Environment") or {})
        or host.isolation == "bubblewrap"
    )
    return Launch(
        job=job.name,
        host=host.name,
        root=str(host.root),
        base=str(host.base),
        log=str(host.log),
        isolation=host.isolation,
        command=program.command,
        working_directory=program.working_directory,
        environment=environment,
        token=token,
        script_mode=kind == "script",
        hosts=host.names,
        mounts=placed.mounts,
        pipes=placed.pipes,
        in_process=None if fresh else program.in_process,
        notes=tuple(_notes(job, host, program, machine)),
    )


def _program(
    job: TrainingJobSpec, host: HostPlace, kind: Kind, machine: Machine, python: str
) -> Program:
    if kind == "built-in":
        return built_in_program(job, host, machine)
    if kind == "entry point":
        return entry_point_program(job)
    return script_program(job, host, machine, python)


def _of_the_profiler(host: HostPlace) -> dict[str, str]:
    """What lets a script that knows nothing of it be watched; Clary's own program asks itself."""
    return {
        FOLDER_VARIABLE: str(host.base / FOLDER),
        CONFIGURATION_VARIABLE: str(host.seen.config / PROFILER_FILE),
        NODE_VARIABLE: host.name,
    }


def _notes(
    job: TrainingJobSpec, host: HostPlace, program: Program, machine: Machine
) -> Iterator[str]:
    kind = program_kind(job)
    instance_type = str(resource_configuration(job, host)["current_instance_type"])
    if host.name == FIRST_HOST and is_gpu_type(instance_type) and machine.gpus == 0:
        yield f"clary: {instance_type} has GPUs but this machine has none: the job runs on the CPU"
    if host.name == FIRST_HOST and job.request.get("EnableNetworkIsolation"):
        yield "clary: network isolation is not enforced: the job can reach the network"
    if host.isolation == "none" and kind != "built-in":
        yield (
            f"clary: this system allows no private {BASE}: everything lies in {host.base}, as "
            "SAGEMAKER_BASE_DIR and the SM_ variables say"
        )
    if kind == "script":
        yield "Invoking script with the following command:"
        yield " ".join(program.command)
