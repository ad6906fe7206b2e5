"""What the program that checks rules is told: the rules, what they judge, and what is known of it.

The debugger's rules judge the tensors of every host, the profiler's its profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.errors import UsageError
from clary.formats.builtin_algorithm import (
    TrainingRequest,
    names_image,
    starts_pretrained,
    trains_head_alone,
)
from clary.formats.launch import HostFiles, HostStarted, host_root
from clary.formats.rule_request import RuleConfiguration, RuleKind, RuleRequest
from clary.gpus import count_gpus
from clary.service.executors.debug_outputs import tensor_folders
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.profile_outputs import profiler_folders
from clary.service.executors.script_mode import PROGRAM, decoded_hyperparameters


def rule_request(
    job: TrainingJobSpec, kind: RuleKind, rules: Sequence[RuleConfiguration]
) -> RuleRequest:
    """The request for rules of one kind of a job that runs, or has run.

    Raises:
        ClaryError: DebugHookConfig names a folder outside /opt/ml.
        FormatError: what a host says of its start is damaged.
    """
    if kind == "profiler":
        return RuleRequest(
            job=job.name,
            kind=kind,
            rules=tuple(rules),
            profiles=profiler_folders(job),
            started_s=_started_s(job),
            about=_about(job),
        )
    return RuleRequest(
        job=job.name,
        rules=tuple(rules),
        tensors=tensor_folders(job),
        learning=_learning(job.request),
    )


def _learning(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the job says of itself, as far as rules want to know it."""
    hyperparameters = request.get("HyperParameters") or {}
    told: dict[str, Any] = {"hyperparameters": dict(hyperparameters)}
    if names_image(_image(request)):
        try:
            options = TrainingRequest.from_hyperparameters(hyperparameters).options
        except UsageError:
            return told  # the job itself says what is wrong with it
        told["pretrained"] = starts_pretrained(options)
        told["frozen"] = trains_head_alone(options, count_gpus())
    return told


def _about(job: TrainingJobSpec) -> dict[str, str]:
    """What a report says of the job, by the words it uses; what there is not is left out."""
    request = job.request
    told = {
        "training job": job.name,
        "job ARN": job.arn,
        "region": job.arn.split(":")[3],
        "instances": ", ".join(_instances(request)),
        "image": _image(request),
        "program": _program(request),
        "output": f"{str(request['OutputDataConfig']['S3OutputPath']).rstrip('/')}/{job.name}/",
    }
    return {word: text for word, text in told.items() if text}


def _instances(request: Mapping[str, Any]) -> list[str]:
    resources = request.get("ResourceConfig") or {}
    return [
        f"{group.get('InstanceCount') or 1} × {group['InstanceType']}"
        for group in resources.get("InstanceGroups") or [resources]
        if group.get("InstanceType")
    ]


def _program(request: Mapping[str, Any]) -> str:
    algorithm = request.get("AlgorithmSpecification") or {}
    words = (
        *(algorithm.get("ContainerEntrypoint") or ()),
        *(algorithm.get("ContainerArguments") or ()),
    )
    told = decoded_hyperparameters(request.get("HyperParameters") or {})
    return " ".join(words) or str(told.get(PROGRAM) or "")


def _image(request: Mapping[str, Any]) -> str:
    return str((request.get("AlgorithmSpecification") or {}).get("TrainingImage") or "")


def _started_s(job: TrainingJobSpec) -> float | None:
    """When the first of the job's processes began, in seconds since 1970."""
    roots: list[Path] = [host_root(job.directory.root, name) for name in job.host_names]
    starts = [HostStarted.read(HostFiles(root)) for root in roots]
    return min((start.since_ms / 1000 for start in starts if start is not None), default=None)
