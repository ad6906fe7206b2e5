"""The JSON files that a program finds under `input/config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.errors import FormatError
from clary.formats.files import read_json, write_json
from clary.formats.job_directory import JobDirectory
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.places import HostPlace
from clary.service.requests.updates import PROFILER

_DEFAULT_GROUP = "homogeneousCluster"
_WHERE_CONFIGURED = {
    "debughookconfig.json": "DebugHookConfig",
    "tensorboardoutputconfig.json": "TensorBoardOutputConfig",
    "checkpointconfig.json": "CheckpointConfig",
}
PROFILER_FILE = "profilerconfig.json"


def resource_configuration(job: TrainingJobSpec, host: HostPlace) -> dict[str, Any]:
    """`resourceconfig.json`: the hosts, and which of them this one is."""
    resources = job.request.get("ResourceConfig") or {}
    asked = resources.get("InstanceGroups") or [
        {
            "InstanceGroupName": _DEFAULT_GROUP,
            "InstanceType": resources.get("InstanceType") or "local",
            "InstanceCount": len(host.names),
        }
    ]
    groups: list[dict[str, Any]] = []
    names = list(host.names)
    for group in asked:
        count = int(group["InstanceCount"])
        groups.append(
            {
                "instance_group_name": group["InstanceGroupName"],
                "instance_type": group["InstanceType"],
                "hosts": names[:count],
            }
        )
        del names[:count]
    own = next(group for group in groups if host.name in group["hosts"])
    return {
        "current_host": host.name,
        "current_instance_type": own["instance_type"],
        "current_group_name": own["instance_group_name"],
        "hosts": sorted(host.names),
        "instance_groups": groups,
        "network_interface_name": "lo",
    }


def write_configuration(
    job: TrainingJobSpec,
    host: HostPlace,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the files of one host.

    Raises:
        StorageError: the folder cannot be written.
    """
    directory = host.directory
    write_json(directory.hyperparameters_file, dict(hyperparameters))
    write_json(directory.config / "inputdataconfig.json", dict(channels))
    write_json(directory.config / "resourceconfig.json", resource_configuration(job, host))
    for file, member in _WHERE_CONFIGURED.items():
        if job.request.get(member):
            write_json(directory.config / file, job.request[member])
    write_profiler_configuration(job, directory)


def write_profiler_configuration(job: TrainingJobSpec, directory: JobDirectory) -> None:
    """Tell one host what is to be profiled, as it is in effect; who profiles reads it again.

    Raises:
        StorageError: the folder cannot be written.
    """
    config = job.in_effect.get(PROFILER)
    path = directory.config / PROFILER_FILE
    if config is None or (path.exists() and _content(path) == config):
        return
    write_json(path, config)


def _content(path: Path) -> Any:
    try:
        return read_json(path)
    except FormatError:
        return None  # the job has replaced it, and gets it anew
