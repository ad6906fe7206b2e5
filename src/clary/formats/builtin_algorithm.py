"""The built-in algorithm as a training job asks for it: its image, hyperparameters and metrics.

The hyperparameters are the fields of `TrainingOptions`, and besides

    dataset       in place of the channel `training`: a known name, or a file of this machine
    skip_check    true: do not look at the pictures before training
    no_report     true: do not write the report afterwards

What SageMaker's own tools add (`sagemaker_…`, `_tuning_…`) is not for the algorithm.

Jobs that train nothing but the head of the same backbone on the same pictures can do so in one
process: they have a `lane_key` in common.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.errors import UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions

IMAGE = "clary/image-classification"
DATASET = "dataset"

_IMAGE = re.compile(r"(?:.*/)?clary/image-classification(?:[:@].*)?")
_SKIP_CHECK, _NO_REPORT = "skip_check", "no_report"
_RESERVED = (DATASET, _SKIP_CHECK, _NO_REPORT)
_FOREIGN = ("sagemaker_", "_tuning_")
_FIGURE = r"([0-9.eE+-]+)"

# What is asked to be watched is watched in a process of its own; a checkpoint that is brought or
# kept elsewhere is that of one process, too.
_FOR_ONE_PROCESS = (
    "CheckpointConfig",
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "ProfilerRuleConfigurations",
    "TensorBoardOutputConfig",
)
# What the features of a picture depend on, beside the picture.
_BACKBONE = ("model", "weights", "trust_pickle", "weight_path", "image_size", "precision")

# What an epoch's line says (`clary.jobs.progress.epoch_line`), as SageMaker's MetricDefinitions.
METRICS = {
    "epoch": r"^epoch (\d+)/",
    "train:loss": rf"^epoch .* train_loss={_FIGURE}",
    "train:accuracy": rf"^epoch .* train_accuracy={_FIGURE}",
    "valid:loss": rf"^epoch .* valid_loss={_FIGURE}",
    "valid:accuracy": rf"^epoch .* valid_accuracy={_FIGURE}",
    "best:valid_accuracy": rf"^epoch .* valid_accuracy={_FIGURE} .* best$",
    "test:accuracy": rf"^test +accuracy={_FIGURE}",
}

# What trials of a tuning job are judged by, besides: found in every epoch's line, and at the end in
# the one that tells of the best epoch, whose weights the job keeps.
OBJECTIVES = {
    "valid_accuracy": rf"^(?:best +)?epoch \d.* valid_accuracy={_FIGURE}",
    "valid_loss": rf"^(?:best +)?epoch \d.* valid_loss={_FIGURE}",
}


@dataclass(frozen=True)
class TrainingRequest:
    """What the hyperparameters of one job say. `dataset` is None where a channel holds the data."""

    options: TrainingOptions
    dataset: str | None = None
    skip_check: bool = False
    no_report: bool = False

    def to_hyperparameters(self) -> dict[str, str]:
        """As text, the way jobs carry them; only what was given."""
        reserved = {
            DATASET: self.dataset,
            _SKIP_CHECK: "true" if self.skip_check else None,
            _NO_REPORT: "true" if self.no_report else None,
        }
        given = {name: value for name, value in reserved.items() if value is not None}
        return {**self.options.to_hyperparameters(), **given}

    @classmethod
    def from_hyperparameters(cls, hyperparameters: Mapping[str, str]) -> TrainingRequest:
        """Read a job's hyperparameters.

        Raises:
            UsageError: one line per value that is unknown or out of bounds.
        """
        options = {
            name: text
            for name, text in hyperparameters.items()
            if name not in _RESERVED and not name.startswith(_FOREIGN)
        }
        dataset = hyperparameters.get(DATASET)
        return cls(
            options=TrainingOptions.from_hyperparameters(options),
            dataset=dataset.strip('"') if dataset else None,
            skip_check=_switch(hyperparameters, _SKIP_CHECK),
            no_report=_switch(hyperparameters, _NO_REPORT),
        )

    @classmethod
    def read(cls, directory: JobDirectory) -> TrainingRequest:
        """Read what a job's directory says.

        Raises:
            FormatError: the file is missing or damaged.
            UsageError: one line per value that is unknown or out of bounds.
        """
        return cls.from_hyperparameters(directory.hyperparameters())


def names_image(image: str) -> bool:
    """Whether a TrainingImage or AlgorithmName is the built-in algorithm, whatever its tag."""
    return _IMAGE.fullmatch(image) is not None


def lane_key(request: Mapping[str, Any], gpus: int) -> str | None:
    """What jobs have in common that can train their heads in one process.

    Args:
        request: CreateTrainingJob's.
        gpus: how many the machine has; with one, a whole network is trained where nothing else
            is asked for.

    Returns:
        A digest of data, backbone and environment; None where the job needs a process of its
        own, or cannot be run at all.
    """
    algorithm = request.get("AlgorithmSpecification") or {}
    image = algorithm.get("TrainingImage") or algorithm.get("AlgorithmName") or ""
    if not names_image(str(image)) or _needs_one_process(request):
        return None
    channels = list(request.get("InputDataConfig") or ())
    modes = {channel.get("InputMode") or algorithm.get("TrainingInputMode") for channel in channels}
    if "Pipe" in modes or not _has_one_host(request):
        return None
    try:
        asked = TrainingRequest.from_hyperparameters(request.get("HyperParameters") or {})
    except UsageError:
        return None  # the job itself says what is wrong with it
    if not (trains_head_alone(asked.options, gpus) and asked.options.feature_cache):
        return None
    shared = {
        "channels": channels,
        "dataset": asked.dataset,
        "environment": dict(request.get("Environment") or {}),
        "backbone": asked.options.model_dump(mode="json", include=set(_BACKBONE)),
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:16]


def _needs_one_process(request: Mapping[str, Any]) -> bool:
    profiler = request.get("ProfilerConfig") or {"DisableProfiler": True}
    return not profiler.get("DisableProfiler") or any(map(request.get, _FOR_ONE_PROCESS))


def _has_one_host(request: Mapping[str, Any]) -> bool:
    resources = request.get("ResourceConfig") or {}
    groups = resources.get("InstanceGroups") or [resources]
    return sum(int(group.get("InstanceCount") or 1) for group in groups) == 1


def starts_pretrained(options: TrainingOptions) -> bool:
    """Whether the backbone starts from trained weights."""
    return options.weights != "none" or options.weight_path is not None


def trains_head_alone(options: TrainingOptions, gpus: int) -> bool:
    """Whether a pretrained backbone stays frozen on a machine with that many GPUs."""
    layers = options.trainable_layers
    frozen = layers == 0 or (layers == "auto" and gpus == 0)
    return frozen and starts_pretrained(options)


def require_combinable(options: TrainingOptions, *, frozen: bool) -> None:
    """Check what no data set is needed for: that no two options exclude each other.

    Args:
        options: of one training.
        frozen: whether its whole backbone stays frozen, which `auto` leaves to the machine.

    Raises:
        UsageError: two of them do.
    """
    if options.trainable_layers == 0 and not starts_pretrained(options):
        raise UsageError(
            "--trainable-layers is 0 but --weights is none: a frozen backbone with random weights "
            "learns next to nothing; give --weights or --trainable-layers all"
        )
    if frozen and options.feature_cache and (options.mixup or options.cutmix):
        raise UsageError(
            "mixup and cutmix blend pictures, but a frozen backbone trains on features computed "
            "once: leave them out, add --no-feature-cache, or let layers learn with "
            "--trainable-layers 1"
        )
    if options.weight_path is not None and "weights" in options.model_fields_set:
        raise UsageError(
            f"--weights is {options.weights} and --weight-path {options.weight_path}: give the one "
            "that training shall start from"
        )


def _switch(hyperparameters: Mapping[str, str], name: str) -> bool:
    text = hyperparameters.get(name, "false")
    if text.strip('"').lower() not in {"true", "false"}:
        raise UsageError(f"the hyperparameter {name} is {text!r} but must be true or false")
    return text.strip('"').lower() == "true"
