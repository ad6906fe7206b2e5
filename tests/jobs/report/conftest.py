"""A job directory as a training leaves it, with made-up answers to real (made) pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clary.formats.evaluation import Evaluations
from clary.formats.files import write_json, write_text
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.formats.training_options import TrainingOptions
from clary.settings import Settings
from clary.vision.datasets import open_dataset
from clary.vision.evaluation import evaluate_logits
from clary.vision.models import save_model
from clary.vision.models.storage import build_described

JobBuilder = Callable[..., JobDirectory]


def write_epochs(directory: JobDirectory, epochs: list[dict[str, object]]) -> None:
    lines = [json.dumps({"epochs": len(epochs), "epoch": k + 1, **e}) for k, e in enumerate(epochs)]
    write_text(directory.output_data / "epochs.jsonl", "\n".join(lines) + "\n")


def epoch(train: float, valid: float, *, best: bool, loss: float = 0.5) -> dict[str, object]:
    return {
        "train_loss": loss,
        "train_accuracy": train,
        "valid_loss": loss + 0.1,
        "valid_accuracy": valid,
        "learning_rate": 1e-3,
        "seconds": 1.5,
        "images_per_second": 80.0,
        "best": best,
    }


@pytest.fixture
def job(tmp_path: Path, settings: Settings) -> JobBuilder:
    """A function that makes the directory of a finished job on a folder of pictures."""

    def build(
        data: Path,
        *,
        name: str = "run",
        options: dict[str, object] | None = None,
        splits: tuple[str, ...] = ("valid", "test"),
    ) -> JobDirectory:
        directory = JobDirectory(tmp_path / name)
        directory.create()
        chosen = TrainingOptions.parse({"model": "test_resnet", **(options or {})})
        directory.write_inputs(chosen.to_hyperparameters(), {"training": data})
        dataset = open_dataset(
            data, settings=settings, seed=0, valid_fraction=0.15, test_fraction=0.15
        )
        description = ModelDescription(
            architecture=Architecture(name="test_resnet"),
            classes=dataset.classes,
            preprocessing=Preprocessing(image_size=32, resize_size=36),
            temperature=1.5,
            provenance={"clary": "0.1.0", "created": "2026-11-21T08:00:00+00:00"},
        )
        save_model(directory.model, build_described(description), description)
        rng = np.random.default_rng(0)
        evaluations = {}
        for split_name in splits:
            split = dataset.splits[split_name]
            logits = 2 * np.eye(len(dataset.classes))[split.labels]
            logits += rng.normal(size=logits.shape)
            evaluations[split_name] = evaluate_logits(
                logits,
                split.labels,
                dataset.classes,
                temperature=1.5,
                names=[split.source.name(index) for index in range(len(split))],
            )
        Evaluations(splits=evaluations).write(directory.output_data / "evaluation.json")
        write_epochs(
            directory,
            [epoch(0.5, 0.5, best=True), epoch(0.8, 0.7, best=True), epoch(0.9, 0.7, best=False)],
        )
        write_json(
            directory.output_data / "run.json",
            {
                "model": "test_resnet",
                "classes": list(dataset.classes),
                "counts": {n: dataset.class_counts(n).tolist() for n in dataset.splits},
                "dataset": dataset.name,
                "layout": dataset.layout,
                "location": str(data),
                "made_splits": list(dataset.made_splits),
                "seconds": 12.0,
                "machine": "2 cores",
                "precision": "fp32",
                "trainable_layers": "all",
                "weights": "none",
                "notes": ["batch size halved"],
            },
        )
        return directory

    return build
