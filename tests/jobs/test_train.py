"""The training program as a process: signals, kills, several processes, failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clary.formats.converted_model import ConvertedModel
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from tests.jobs.forked_programs import ForkedProgram, run_forked

WORDS = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "batch_size": 4,
    "epochs": 24,
    "precision": "fp32",
}
TIMES = ("seconds", "images_per_second")


@pytest.fixture
def job(tmp_path, picture_folder):
    """A function that prepares a job directory over made-up pictures."""

    def prepare(name="job", data: Path | str | None = None, **more) -> JobDirectory:
        root = data or tmp_path / "pictures"
        if root == tmp_path / "pictures" and not root.exists():
            picture_folder(splits={"train": 6, "valid": 3, "test": 3}, size=40)
        directory = JobDirectory(tmp_path / name)
        directory.create()
        options = TrainingOptions(**{**WORDS, **more})
        directory.write_inputs(options.to_hyperparameters(), {"training": root})
        return directory

    return prepare


def environment(tmp_path):
    return {**os.environ, "CLARY_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}


def words(directory, *more):
    return ["--job", str(directory.root), "--no-report", *more]


def run(directory, tmp_path, *more, processes=1):
    """The program, started anew."""
    module = ["-m", "clary.jobs.train", *words(directory, *more)]
    if processes > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone"]
        module = [*torchrun, f"--nproc-per-node={processes}", *module]
    return subprocess.run(
        [sys.executable, *module],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def train(directory, tmp_path, *more):
    """The program, forked."""
    return run_forked("train", *words(directory, *more), environment=environment(tmp_path))


def epochs(directory):
    path = directory.output_data / "epochs.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def wait_for_epochs(directory, count, process):
    deadline = time.monotonic() + 300
    while len(epochs(directory)) < count:
        assert process.poll() is None, "the program ended early"
        assert time.monotonic() < deadline, "the program trains too slowly"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_at_any_moment_goes_on_as_if_nothing_had_happened(job, tmp_path):
    whole, parts = job("whole"), job("parts")
    assert train(whole, tmp_path, "--skip-check").returncode == 0
    for count, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), start=1):
        begun = len(epochs(parts))
        process = ForkedProgram("train", words(parts, "--skip-check"), environment(tmp_path))
        wait_for_epochs(parts, begun + count, process)
        process.send_signal(number)
        _, stderr = process.communicate()
        assert len(epochs(parts)) < WORDS["epochs"]
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130
            assert "clary: stopped in epoch" in stderr
            assert f"`clary train --resume {parts.root.name}` goes on from there" in stderr
    assert train(parts, tmp_path, "--skip-check").returncode == 0
    assert epochs(parts) == epochs(whole)


@pytest.mark.slow
def test_two_processes_train_together_and_one_writes(job, tmp_path):
    directory = job(epochs=3, augmentation="none")
    ended = run(directory, tmp_path, "--skip-check", processes=2)
    assert ended.returncode == 0, ended.stderr
    assert len(epochs(directory)) == 3
    assert ended.stdout.count("epoch 3/3:") == 1
    assert (directory.model / "model.safetensors").exists()
    counts = json.loads((directory.output_data / "run.json").read_text())["counts"]
    assert sum(counts["train"]) == 18


@pytest.mark.slow
def test_the_model_is_made_ready_to_be_served_unless_it_is_a_trials(job, tmp_path):
    directory, trial = job(epochs=1), job("trial-001-0a1b2c3d", epochs=1, seed=3)
    ended = train(directory, tmp_path, "--skip-check")
    assert ended.returncode == 0, ended.stderr
    assert "serving   made ready in" in ended.stdout
    cache = tmp_path / "home" / "cache"
    assert ConvertedModel.of(directory.model, cache).has("fp32")
    file = trial.config / "hyperparameters.json"
    asked = {**json.loads(file.read_text()), "_tuning_objective_metric": "valid_accuracy"}
    file.write_text(json.dumps(asked))
    ended = train(trial, tmp_path, "--skip-check")
    assert ended.returncode == 0, ended.stderr
    assert "serving" not in ended.stdout
    assert not ConvertedModel.of(trial.model, cache).has("fp32")


def test_one_class_fails_before_torch_is_loaded(job, tmp_path, picture_folder):
    data = picture_folder("single", classes=1, per_class=8)
    directory = job(data=data)
    ended = run(directory, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("clary: ")
    assert "Traceback" not in ended.stderr
    assert directory.failure.read_text().strip() in ended.stderr


def test_wrong_hyperparameter_is_one_sentence(job, tmp_path):
    directory = job()
    file = directory.config / "hyperparameters.json"
    file.write_text(json.dumps({"epocs": "3"}))
    ended = run(directory, tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.strip() == "clary: there is no option --epocs: did you mean --epochs?"


def test_full_disk_keeps_the_checkpoint(job, tmp_path):
    directory = job(epochs=400)
    # A limit on the size of files stands in for a disk that is full: writes fail the same way.
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "from clary.jobs.train import main; from clary.jobs.program import run_program; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); run_program(main)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "--job", str(directory.root), "--no-report"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "cannot be written" in ended.stderr or "the disk is full" in ended.stderr
    assert list(directory.checkpoints.glob(".*.tmp")) == []
