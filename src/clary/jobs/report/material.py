"""What a job directory holds for the report. What is missing is said, never left out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from clary.errors import ClaryError, FormatError
from clary.formats.builtin_algorithm import TrainingRequest
from clary.formats.data_check import CheckReport
from clary.formats.evaluation import Evaluation, Evaluations
from clary.formats.files import read_json
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import ModelDescription
from clary.formats.records import as_record
from clary.formats.training_options import TrainingOptions

T = TypeVar("T")


class RunRecord(BaseModel):
    """What `run.json` says; None and empty stand for what it does not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = None
    classes: tuple[str, ...] = ()
    counts: dict[str, tuple[int, ...]] = {}
    dataset: str | None = None
    layout: str | None = None
    location: str | None = None
    made_splits: tuple[str, ...] = ()
    seconds: float | None = None
    machine: str | None = None
    precision: str | None = None
    learning_rate: float | None = None
    trainable_layers: int | str | None = None
    parameters: int | None = None
    weights: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def frozen(self) -> bool:
        """Whether the head alone learned."""
        return self.trainable_layers == 0


@dataclass(frozen=True)
class Epoch:
    """A line of `epochs.jsonl`; figures that were not finite are None."""

    epoch: int
    epochs: int
    train_loss: float | None
    train_accuracy: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    learning_rate: float | None
    seconds: float | None
    images_per_second: float | None
    best: bool


@dataclass(frozen=True)
class Material:
    """Everything that the page is made of.

    `missing` says, by section, in a sentence what could not be shown and why.
    """

    directory: JobDirectory
    options: TrainingOptions | None = None
    changed_options: dict[str, Any] = field(default_factory=dict)
    record: RunRecord = field(default_factory=RunRecord)
    epochs: tuple[Epoch, ...] = ()
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    description: ModelDescription | None = None
    check: CheckReport | None = None
    failure: str | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a person calls the job."""
        return self.directory.root.name

    @property
    def split(self) -> str | None:
        """The split to judge by: `test`, or `valid` where there is no test."""
        return next((name for name in ("test", "valid") if name in self.evaluations), None)

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation to judge by."""
        return self.evaluations[self.split] if self.split else None

    @property
    def best_epoch(self) -> Epoch | None:
        """The epoch whose weights were kept: the last that was the best so far."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, as far as they are known."""
        if self.description is not None:
            return self.description.classes
        return self.record.classes

    def counts(self, split: str) -> dict[str, int]:
        """Pictures by class in a split; empty when that is not known."""
        rows = self.record.counts.get(split)
        if rows is not None:
            return dict(zip(self.classes, rows, strict=False))
        return dict(self.check.counts.get(split, {})) if self.check else {}

    @property
    def location(self) -> str:
        """Where the pictures are: a path or a known name."""
        if self.record.location:
            return self.record.location
        try:
            return self.directory.location()
        except FormatError:
            return "DATA"


def gather(directory: JobDirectory) -> Material:
    """Read what there is; a damaged or missing file becomes a sentence in `missing`."""
    missing: dict[str, str] = {}
    data = directory.output_data
    evaluations = _tried(missing, "evaluation", lambda: Evaluations.read(data / "evaluation.json"))
    options = _tried(missing, "options", lambda: _options(directory))
    record = _tried(missing, "run", lambda: _record(data / "run.json"))
    return Material(
        directory=directory,
        options=options,
        changed_options=options.model_dump(mode="json", exclude_defaults=True) if options else {},
        record=record or RunRecord(),
        epochs=_tried(missing, "curves", lambda: _epochs(data / "epochs.jsonl")) or (),
        evaluations=dict(evaluations.splits) if evaluations else {},
        description=_tried(missing, "model", lambda: ModelDescription.read(directory.model)),
        check=_tried(missing, "check", lambda: _check(data / "data_check.json")),
        failure=_text(directory.failure),
        missing=missing,
    )


def _tried(missing: dict[str, str], section: str, read: Any) -> Any:
    try:
        return read()
    except ClaryError as error:
        missing[section] = str(error)
        return None


def _options(directory: JobDirectory) -> TrainingOptions:
    if directory.hyperparameters_file.exists():
        return TrainingRequest.read(directory).options
    return TrainingOptions.parse(_mapping(directory.output_data / "options.json"))


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise FormatError(f"{path} is not a JSON object")
    return content


def _record(path: Path) -> RunRecord:
    return as_record(RunRecord, _mapping(path), path, "the record of a run")


def _check(path: Path) -> CheckReport:
    return as_record(CheckReport, _mapping(path), path, "a data check")


def _epochs(path: Path) -> tuple[Epoch, ...]:
    text = _text(path)
    if not text:
        raise FormatError(f"{path} is missing or empty: no epoch has ended")
    try:
        return tuple(_epoch(json.loads(line)) for line in text.splitlines() if line.strip())
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path} is not a history of epochs: {error}") from error


def _epoch(line: dict[str, Any]) -> Epoch:
    def figure(name: str) -> float | None:
        value = line.get(name)
        return float(value) if value is not None and math.isfinite(value) else None

    return Epoch(
        epoch=int(line["epoch"]),
        epochs=int(line.get("epochs", line["epoch"])),
        train_loss=figure("train_loss"),
        train_accuracy=figure("train_accuracy"),
        valid_loss=figure("valid_loss"),
        valid_accuracy=figure("valid_accuracy"),
        learning_rate=figure("learning_rate"),
        seconds=figure("seconds"),
        images_per_second=figure("images_per_second"),
        best=bool(line.get("best", False)),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
