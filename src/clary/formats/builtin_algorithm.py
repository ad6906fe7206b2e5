"""The built-in algorithm as a training job asks for it: its image, hyperparameters and metrics.

The hyperparameters are the fields of `TrainingOptions`, and besides

    dataset       in place of the channel `training`: a known name, or a file of this machine
    skip_check    true: do not look at the pictures before training
    no_report     true: do not write the report afterwards

What SageMaker's own tools add (`sagemaker_…`, `_tuning_…`) is not for the algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clary.errors import UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions

IMAGE = "clary/image-classification"
DATASET = "dataset"

_SKIP_CHECK, _NO_REPORT = "skip_check", "no_report"
_RESERVED = (DATASET, _SKIP_CHECK, _NO_REPORT)
_FOREIGN = ("sagemaker_", "_tuning_")
_FIGURE = r"([0-9.eE+-]+)"

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


def _switch(hyperparameters: Mapping[str, str], name: str) -> bool:
    text = hyperparameters.get(name, "false")
    if text.strip('"').lower() not in {"true", "false"}:
        raise UsageError(f"the hyperparameter {name} is {text!r} but must be true or false")
    return text.strip('"').lower() == "true"
