"""Clary's own training is profiled where the job's configuration asks for it."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import timm
import torch

from clary.formats.job_directory import JobDirectory
from clary.formats.timeline import PHASES, Mode
from clary.formats.timeline.reader import Timeline
from clary.formats.training_options import TrainingOptions
from clary.jobs.profiling import is_profiled
from tests.jobs.forked_programs import run_forked

WORDS = {
    "model": "test_resnet",
    "image_size": 32,
    "batch_size": 4,
    "epochs": 2,
    "precision": "fp32",
    "trainable_layers": "all",
}
TRAINED, JUDGED = 3 * 14, 3 * 6
STEPS = 11
OPERATORS = {"DetailedProfilingConfig": '{"StartStep": 1, "NumSteps": 2, }'}


@pytest.fixture
def train(tmp_path, picture_folder):
    """Trains with a profiler's configuration; gives what was recorded, and the process."""

    def run(configuration, **more):
        picture_folder(splits={"train": 14, "valid": 6}, size=40)
        directory = JobDirectory(tmp_path / "job")
        directory.create()
        weights = tmp_path / "weights.pth"
        torch.manual_seed(0)
        torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), weights)
        options = TrainingOptions(**{**WORDS, "weights": str(weights), **more})
        directory.write_inputs(options.to_hyperparameters(), {"training": tmp_path / "pictures"})
        (directory.config / "profilerconfig.json").write_text(json.dumps(configuration))
        home = {"CLARY_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        words = ("--job", str(directory.root), "--no-report")
        done = run_forked("train", *words, environment={**os.environ, **home})
        timeline = Timeline(directory.root / "output" / "profiler")
        timeline.refresh()
        return timeline.workers.get("worker_0"), done

    return run


def test_steps_phases_and_what_lies_beside_them_are_recorded(train):
    worker, done = train({"ProfilingIntervalInMilliseconds": 500})
    assert done.returncode == 0, done.stderr
    assert worker.failures == ()
    steps, evaluation = worker.steps(Mode.TRAIN), worker.steps(Mode.EVAL)
    facts = worker.facts
    assert steps["merged"].sum() == facts.epochs * facts.steps_per_epoch == 2 * STEPS
    assert steps["pictures"].sum() == 2 * TRAINED
    assert evaluation["pictures"].sum() == 2 * JUDGED
    assert np.isfinite(steps["phases_s"]).all(), PHASES
    assert (steps["phases_s"].sum(axis=1) <= steps["seconds"] + 1e-4).all()
    kinds = [span.kind for span in worker.spans]
    assert kinds[0] == "initialization"
    assert kinds.count("evaluation") >= 2
    assert "checkpoint" in kinds
    assert facts.device == "cpu"
    assert facts.precision == "fp32"
    assert facts.program == "clary train"
    assert facts.ended_us is not None
    loading = facts.train_loading
    assert (loading.kind, loading.batch_size, loading.pictures) == ("clary", 4, TRAINED)
    assert 0 < loading.decode_s < 60
    loads = worker.loads()
    assert loads["pictures"].sum() == 2 * (TRAINED + JUDGED)
    assert (loads["cpu_s"] > 0).all()


def test_features_are_a_span_and_short_steps_are_merged(train):
    worker, done = train({}, trainable_layers=0, epochs=20)
    assert done.returncode == 0, done.stderr
    assert worker.failures == ()
    assert [span.label for span in worker.spans if span.kind == "features"][:1] == [
        "features of the training pictures"
    ]
    steps = worker.steps(Mode.TRAIN)
    assert steps["merged"].sum() == 20 * STEPS
    assert len(steps) < 20 * STEPS
    assert (np.diff(steps["step"]) == steps["merged"][:-1]).all()


def test_operators_of_chosen_steps_are_recorded(train):
    worker, done = train({"ProfilingParameters": OPERATORS}, epochs=1)
    assert done.returncode == 0, done.stderr
    assert worker.failures == ()
    (operators,) = worker.operators
    assert (operators.first, operators.last) == (1, 2)
    names = {one.name for one in operators.operators}
    assert "aten::convolution_backward" in names
    assert (worker.folder / operators.trace).stat().st_size > 1000


def test_nothing_is_recorded_where_nobody_asks_for_it(train, tmp_path):
    worker, done = train({"DisableProfiler": True})
    assert done.returncode == 0, done.stderr
    assert worker is None
    assert is_profiled(JobDirectory(tmp_path / "job"))
    assert not is_profiled(JobDirectory(tmp_path / "another"))


def test_a_configuration_that_cannot_be_used_is_one_sentence(train):
    worker, done = train({"ProfilingIntervalInMilliseconds": 300})
    assert done.returncode == 2
    assert "ProfilingIntervalInMilliseconds is 300: give one of 100, 200" in done.stderr
    assert "Traceback" not in done.stderr
    assert worker is None
