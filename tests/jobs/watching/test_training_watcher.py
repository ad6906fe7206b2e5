"""Clary's own training is watched where the job's configuration asks for it."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import timm
import torch

from clary.debugger import Collection, Hook
from clary.formats.job_directory import JobDirectory
from clary.formats.tensor_log import TensorLog
from clary.formats.tensor_log.entries import Mode
from clary.formats.training_options import TrainingOptions
from clary.jobs.watching import TrainingWatcher
from clary.vision.observer import Observer, Observers
from tests.jobs.forked_programs import run_forked

WORDS = {
    "model": "test_resnet",
    "image_size": 32,
    "batch_size": 4,
    "epochs": 2,
    "precision": "fp32",
}
CONFIGURATION = {
    "S3OutputPath": "s3://bucket/",
    "HookParameters": {"save_interval": "2", "reductions": "min"},
    "CollectionConfigurations": [
        {"CollectionName": name}
        for name in ("weights", "gradients", "biases", "input_image", "labels", "predictions")
    ]
    + [{"CollectionName": "losses", "CollectionParameters": {"save_interval": "1"}}],
}


@pytest.fixture
def train(tmp_path, picture_folder):
    """Trains with a hook's configuration; gives the directory and what was seen."""

    def run(configuration=CONFIGURATION, *, succeeds=True, **more):
        picture_folder(splits={"train": 14, "valid": 6}, size=40)
        directory = JobDirectory(tmp_path / "job")
        directory.create()
        weights = tmp_path / "weights.pth"
        torch.manual_seed(0)
        torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), weights)
        options = TrainingOptions(**{**WORDS, "weights": str(weights), **more})
        directory.write_inputs(options.to_hyperparameters(), {"training": tmp_path / "pictures"})
        if configuration is not None:
            path = directory.config / "debughookconfig.json"
            path.write_text(json.dumps(configuration))
        home = {"CLARY_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        words = ("--job", str(directory.root), "--no-report")
        done = run_forked("train", *words, environment={**os.environ, **home})
        assert (done.returncode == 0) == succeeds, done.stderr
        log = TensorLog(directory.root / "output" / "tensors")
        if succeeds and configuration is not None:
            log.refresh()
        return directory, log, done

    return run


def epochs(directory):
    lines = (directory.output_data / "epochs.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("trainable", ["all", 0])
def test_losses_of_both_modes_and_parameters_that_learn_are_seen(train, trainable):
    directory, log, _ = train(trainable_layers=trainable)
    assert not log.failures
    assert log.ended
    records = epochs(directory)
    steps = log.steps(Mode.TRAIN)
    per_epoch = len(steps) // len(records)
    losses = log.scalars("CrossEntropyLoss_output_0")
    assert len(losses) == len(log.steps())
    if trainable == 0:
        valid = [losses[step.number] for step in log.steps(Mode.EVAL)]
        assert valid == pytest.approx([record["valid_loss"] for record in records], rel=1e-4)
    assert [step.mode_step for step in steps] == list(range(per_epoch * len(records)))

    learns = [name for name in log.names() if name.startswith("gradient/")]
    assert "gradient/Classifier_head.0.weight" in learns
    assert any("backbone" in name for name in learns) == (trainable == "all")
    for name in learns:
        assert len(log.statistics(name)) == -(-len(steps) // 2)
    moved = list(log.statistics("Classifier_head.0.weight").values())
    assert moved[0].update_l2 is None
    assert all(found.update_l2 > 0 for found in moved[1:])
    assert all(found.l2 > 0 for found in log.statistics("gradient/Classifier_head.0.bias").values())
    assert ("Classifier_input_0" in log.names()) == (trainable == "all")


def test_labels_and_predictions_of_validations_are_kept(train):
    directory, log, _ = train(trainable_layers=0)
    step = log.raw_steps("labels")[-1]
    labels, predictions = log.raw("labels", step), log.raw("predictions", step)
    assert labels.shape == predictions.shape
    with np.load(directory.output_data / "predictions_valid.npz") as saved:
        assert sorted(labels) == sorted(saved["labels"])


def test_gradients_of_all_batches_of_a_step_are_seen_together(train):
    directory, log, _ = train(trainable_layers="all", accumulate=2, epochs=1)
    assert len(log.steps(Mode.TRAIN)) == 6  # of 42 pictures in batches of 4, two a step
    assert len(epochs(directory)) == 1


def test_nothing_is_watched_where_nobody_asks(train):
    directory, _, _ = train(None, trainable_layers=0)
    assert not (directory.root / "output" / "tensors").exists()


def test_a_configuration_that_cannot_be_used_ends_the_job_in_one_sentence(train):
    wrong = {"S3OutputPath": "s3://b/", "HookParameters": {"save_interval": "often"}}
    directory, _, done = train(wrong, succeeds=False)
    assert "save_interval is 'often'" in directory.failure.read_text()
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("activations", True),
        ("outputs", True),
        ("all", True),
        ("input_image", True),
        ("gradients", False),
        ("labels", False),
    ],
)
def test_a_training_is_not_compiled_where_its_layers_are_watched(tmp_path, name, expected):
    watcher = TrainingWatcher(Hook(tmp_path, collections=[Collection(name)]))
    assert Observers([Observer(), watcher]).looks_inside is expected
    watcher.run_ended(None)
