"""After the last epoch: calibrate, evaluate, and save the model with everything known of it."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import clary
from clary.formats.evaluation import Evaluation, Evaluations
from clary.formats.files import replacing, write_json
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.vision.calibration import fit_temperature
from clary.vision.datasets import PictureDataset, Split
from clary.vision.evaluation import evaluate_logits
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.history import History
from clary.vision.finetuning.plan import Plan
from clary.vision.finetuning.starting import StartingModel
from clary.vision.finetuning.training import Training
from clary.vision.models import Classifier, save_model

EVALUATION_FILE = "evaluation.json"
RUN_FILE = "run.json"
OPTIONS_FILE = "options.json"


@dataclass(frozen=True)
class FinetuneResult:
    """A finished run.

    `evaluation` holds a split's figures under `valid` and `test`; `model_folder` is what
    `load_model`, `clary predict` and `clary export` take.
    """

    classifier: Classifier
    description: ModelDescription
    dataset: PictureDataset
    history: History
    evaluation: dict[str, Evaluation]
    output: Path
    seconds: float

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the classifier's input."""
        return self.description.preprocessing

    @property
    def model_folder(self) -> Path:
        """The saved model."""
        return JobDirectory(self.output).model


@dataclass(frozen=True)
class FinishedRun:
    """A run whose best weights are in place, and that is still to be judged and saved."""

    model: StartingModel
    training: Training
    plan: Plan
    dataset: PictureDataset
    history: History
    context: RunContext


def conclude(run: FinishedRun, directory: JobDirectory, started: float) -> FinetuneResult:
    """Evaluate the best weights and, in the first process, save the model and the records.

    Args:
        run: what was trained.
        directory: where everything is kept.
        started: when the run began, on the monotonic clock in seconds.

    Raises:
        DataError: a picture cannot be read.
        StorageError: the directory cannot be written.
    """
    model, dataset, main = run.model, run.dataset, run.context.processes.main
    evaluations, temperature = _evaluate(run, directory)
    seconds = time.monotonic() - started
    description = ModelDescription(
        architecture=model.classifier.architecture,
        classes=dataset.classes,
        preprocessing=model.preprocessing,
        temperature=temperature,
        metrics={name: evaluation.summary() for name, evaluation in evaluations.items()},
        provenance=_provenance(run, seconds),
    )
    if main:
        save_model(directory.model, model.classifier, description)
        folder = directory.output_data
        Evaluations(splits=evaluations).write(folder / EVALUATION_FILE)
        write_json(folder / OPTIONS_FILE, run.plan.options.model_dump(mode="json"))
        write_json(folder / RUN_FILE, _run_record(run, seconds))
    run.context.processes.wait()
    return FinetuneResult(
        classifier=model.classifier,
        description=description,
        dataset=dataset,
        history=run.history,
        evaluation=evaluations,
        output=directory.root,
        seconds=seconds,
    )


def _evaluate(run: FinishedRun, directory: JobDirectory) -> tuple[dict[str, Evaluation], float]:
    """The figures of the held-out splits, and the temperature that the first of them gives."""
    evaluations: dict[str, Evaluation] = {}
    temperature = 1.0
    # Every process answers the whole split: no exchange, and the model is the same in all.
    for name in ("valid", "test"):
        split = run.dataset.splits.get(name)
        if split is None:
            continue
        with run.context.observers.phase("evaluation"):
            logits = run.training.logits(split)
        if name == "valid":
            temperature = fit_temperature(logits, split.labels)
        names = [split.source.name(index) for index in range(len(split))]
        evaluations[name] = evaluate_logits(
            logits, split.labels, run.dataset.classes, temperature=temperature, names=names
        )
        if run.context.processes.main:
            _save_predictions(directory.output_data / f"predictions_{name}.npz", logits, split)
    return evaluations, temperature


def _save_predictions(path: Path, logits: npt.NDArray[np.float32], split: Split) -> None:
    names = np.asarray([split.source.name(index) for index in range(len(split))])
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, logits=logits, labels=split.labels, names=names)


def _provenance(run: FinishedRun, seconds: float) -> dict[str, Any]:
    weights, dataset, hardware = run.model.weights, run.dataset, run.context.hardware
    return {
        "clary": clary.__version__,
        "torch": torch.__version__,
        "timm": version("timm"),
        "python": platform.python_version(),
        "created": datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "dataset": dataset.name,
        "data_fingerprint": dataset.train.fingerprint(),
        "pictures": {name: len(split) for name, split in dataset.splits.items()},
        "weights": weights.source,
        "weights_fingerprint": weights.fingerprint,
        "machine": hardware.name,
        "precision": hardware.precision,
        "options": run.plan.options.model_dump(mode="json", exclude_defaults=True),
    }


def _run_record(run: FinishedRun, seconds: float) -> dict[str, Any]:
    dataset, plan, hardware = run.dataset, run.plan, run.context.hardware
    model, best = run.model, run.history.best
    return {
        "model": model.classifier.architecture.name,
        "classes": list(dataset.classes),
        "counts": {name: dataset.class_counts(name).tolist() for name in dataset.splits},
        "dataset": dataset.name,
        "layout": dataset.layout,
        "location": str(dataset.location) if dataset.location else None,
        "made_splits": list(dataset.made_splits),
        "seconds": seconds,
        "machine": hardware.name,
        "device": str(hardware.device),
        "precision": hardware.precision,
        "learning_rate": plan.learning_rate,
        "trainable_layers": plan.trainable_layers,
        "parameters": sum(p.numel() for p in model.classifier.parameters()),
        "weights": model.weights.source,
        "best_epoch": best.epoch if best else None,
        "notes": [*plan.notes, *model.weights.notes],
    }
