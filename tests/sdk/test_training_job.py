"""A training as a process: its directory, its record, its lock, what is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from clary.errors import UsageError
from clary.formats.job_record import JobRecord
from clary.sdk.job_listing import GONE, list_jobs, summarize_job
from clary.sdk.locations import resolve_job
from clary.sdk.training_job import JOB_NAME, TrainingJob, is_running
from clary.settings import Settings

TINY = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": "32",
    "batch_size": "4",
    "epochs": "2",
    "precision": "fp32",
}


@pytest.fixture
def photos(picture_folder) -> Path:
    return picture_folder("photos", splits={"train": 8, "valid": 4, "test": 4}, size=40)


def test_a_new_job_has_its_inputs_and_its_record(photos: Path, settings: Settings) -> None:
    job = TrainingJob.create(str(photos), {"epochs": "3", "lr": "0.01"}, settings)
    directory = job.directory
    assert JOB_NAME.fullmatch(job.record.name)
    assert job.record.name.startswith("photos-")
    assert directory.root == settings.jobs_dir / job.record.name
    assert directory.hyperparameters() == {"epochs": "3", "lr": "0.01"}
    assert directory.location() == str(photos)
    assert directory.channel("training").resolve() == photos.resolve()
    channels = json.loads((directory.config / "inputdataconfig.json").read_text())
    assert channels["training"]["TrainingInputMode"] == "File"
    assert JobRecord.read(directory) == job.record
    assert job.record.status == "InProgress"


def test_a_known_name_is_passed_through(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = TrainingJob.create("digits", {}, settings).directory
    assert directory.location() == "digits"
    assert not directory.channel("training").is_symlink()


def test_names_do_not_collide_and_fit_the_pattern(picture_folder, settings: Settings) -> None:
    folder = picture_folder("_Meine Fotos: " + "x" * 80, classes=2, per_class=1)
    names = [TrainingJob.create(str(folder), {}, settings).record.name for _ in range(3)]
    assert len(set(names)) == 3
    assert all(JOB_NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a b", "ä", "x" * 64, "../a"])
def test_other_names_are_refused(photos: Path, settings: Settings, name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        TrainingJob.create(str(photos), {}, settings, name=name)
    assert not settings.jobs_dir.exists()


def test_a_taken_name_is_refused(photos: Path, settings: Settings) -> None:
    TrainingJob.create(str(photos), {}, settings, name="one")
    with pytest.raises(UsageError, match="clary train --resume one"):
        TrainingJob.create(str(photos), {}, settings, name="one")


def test_an_output_folder_is_found_by_its_name(
    photos: Path, settings: Settings, tmp_path: Path
) -> None:
    root = tmp_path / "runs" / "first"
    job = TrainingJob.create(str(photos), {}, settings, output=root)
    assert (job.record.name, job.directory.root) == ("first", root)
    assert resolve_job("first", settings).root.resolve() == root.resolve()
    with pytest.raises(UsageError, match="holds a job already"):
        TrainingJob.create(str(photos), {}, settings, output=root)
    with pytest.raises(UsageError, match="not an empty folder"):
        TrainingJob.create(str(photos), {}, settings, output=photos)


def test_paths_among_the_options_become_absolute(
    photos: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    earlier = TrainingJob.create(str(photos), {}, settings, name="earlier").directory
    (earlier.model / "model.json").write_text("{}")
    options = {"weights": "w.safetensors", "weight_path": "earlier"}
    values = TrainingJob.create(str(photos), options, settings).directory.hyperparameters()
    assert json.loads(values["weights"]) == str(tmp_path / "w.safetensors")
    assert json.loads(values["weight_path"]) == str(earlier.model)


def test_resume_merges_the_options_and_keeps_the_earlier_ones(
    photos: Path, settings: Settings
) -> None:
    job = TrainingJob.create(str(photos), {"epochs": "3", "lr": "0.01"}, settings, name="one")
    again = TrainingJob.resume(job.directory, {"epochs": "10", "dropout": "0.5"}, settings)
    assert again.directory.hyperparameters() == {"epochs": "10", "lr": "0.01", "dropout": "0.5"}
    assert again.directory.previous_hyperparameters() == {"epochs": "3", "lr": "0.01"}
    assert again.resumed
    with pytest.raises(UsageError, match="was trained on"):
        TrainingJob.resume(job.directory, {}, settings, data="digits")


def test_a_job_that_nobody_runs_is_shown_as_failed(photos: Path, settings: Settings) -> None:
    job = TrainingJob.create(str(photos), {}, settings, name="one")
    assert not is_running(job.directory)
    summary = summarize_job(job.directory)
    assert (summary.status, summary.failure_reason) == ("Failed", GONE)
    assert [found.name for found in list_jobs(settings)] == ["one"]


def test_a_job_with_other_options_is_listed_too(photos: Path, settings: Settings) -> None:
    job = TrainingJob.create(str(photos), {}, settings, name="one")
    job.directory.hyperparameters_file.write_text('{"of_a_later_version": "1"}')
    assert [found.model_name for found in list_jobs(settings)] == ["unknown"]


def train(settings: Settings, *words: str, **more: Any) -> subprocess.Popen[str]:
    """`clary train` as a process of its own session, so that no terminal is involved."""
    return subprocess.Popen(
        [sys.executable, "-m", "clary", "train", *words],
        env={**os.environ, "CLARY_HOME": str(settings.home), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def options(**changes: str) -> list[str]:
    values = {**TINY, **changes}
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def test_a_training_leaves_a_packed_model_and_a_record(photos: Path, settings: Settings) -> None:
    with train(settings, str(photos), "--name", "one", "--no-report", *options()) as process:
        output, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (0, "")
    directory = resolve_job("one", settings)
    record = JobRecord.read(directory)
    assert (record.status, record.exit_code, record.failure_reason) == ("Completed", 0, None)
    assert record.command[1:3] == ("-m", "clary.jobs.train")
    with tarfile.open(directory.archive) as archive:
        assert {"model.json", "model.safetensors"} <= set(archive.getnames())
    assert output.startswith("Training one in ")
    assert output.splitlines()[-1].startswith("one is done in ")
    summary = summarize_job(directory)
    assert summary.epochs == 2
    assert summary.best_valid_accuracy is not None
    assert 0 <= summary.best_valid_accuracy <= 1


def test_a_failed_training_keeps_its_reason(picture_folder, settings: Settings) -> None:
    one_class = picture_folder("single", classes=1)
    with train(settings, str(one_class), "--name", "one", *options()) as process:
        output, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert errors.startswith("clary: ")
    assert "Traceback" not in errors
    record = JobRecord.read(resolve_job("one", settings))
    assert record.status == "Failed"
    assert record.failure_reason is not None
    assert record.failure_reason in errors
    assert output.splitlines()[-1].startswith("one failed after ")


@pytest.mark.slow
def test_a_running_job_is_refused_a_stopped_one_resumed(photos: Path, settings: Settings) -> None:
    words = [str(photos), "--name", "one", "--no-report", *options(epochs="2000")]
    with train(settings, *words) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("epoch 3/"):
                break
        directory = resolve_job("one", settings)
        assert is_running(directory)
        assert summarize_job(directory).status == "InProgress"
        with train(settings, "--resume", "one") as second:
            _, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert errors == (
            "clary: the job one is running: wait for it, or stop it with Ctrl-C where it runs\n"
        )
        first.send_signal(signal.SIGINT)
        output, errors = first.communicate(timeout=60)
    assert first.returncode == 130
    assert errors.startswith("clary: ")
    assert "clary train --resume one" in output + errors
    assert JobRecord.read(directory).status == "Stopped"
    assert not is_running(directory)
    done = summarize_job(directory).epochs

    with train(settings, "--resume", "one", f"--epochs={done + 2}", "--no-report") as again:
        output, errors = again.communicate(timeout=200)
    assert (again.returncode, errors) == (0, "")
    assert output.startswith("Resuming one in ")
    assert "epoch 1/" not in output
    assert JobRecord.read(directory).status == "Completed"
    assert summarize_job(directory).epochs == done + 2


def test_a_killed_starter_leaves_the_job_locked_until_its_program_ends(
    photos: Path, settings: Settings
) -> None:
    words = [str(photos), "--name", "one", "--no-report", *options(epochs="2000")]
    with train(settings, *words) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                break
        directory = resolve_job("one", settings)
        program = JobRecord.read(directory).pid
        assert program is not None
        process.kill()
        process.wait()
        assert is_running(directory)
        os.kill(program, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while is_running(directory) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert summarize_job(directory).failure_reason == GONE


def test_a_killed_program_is_one_sentence(photos: Path, settings: Settings) -> None:
    words = [str(photos), "--name", "one", "--no-report", *options(epochs="2000")]
    with train(settings, *words) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                break
        program = JobRecord.read(resolve_job("one", settings)).pid
        assert program is not None
        os.kill(program, signal.SIGKILL)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 137
    assert errors == (
        "clary: the program was killed by SIGKILL, most often because memory ran out: "
        "try a smaller --batch-size\n"
    )
    assert "one failed after " in output
    record = JobRecord.read(resolve_job("one", settings))
    assert (record.status, record.exit_code) == ("Failed", 137)


@pytest.mark.slow
def test_processes_that_train_together_stop_together(photos: Path, settings: Settings) -> None:
    words = [str(photos), "--name", "one", "--no-report", *options(epochs="2000")]
    with train(settings, *words, "--processes", "2") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                break
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert process.returncode in {130, 143}
    assert "Traceback" not in errors
    assert "clary train --resume one" in errors
    assert "one stopped after " in output
    assert JobRecord.read(resolve_job("one", settings)).status == "Stopped"


@pytest.mark.slow
def test_a_refused_resume_leaves_the_job_as_it_was(photos: Path, settings: Settings) -> None:
    job = TrainingJob.create(str(photos), {**TINY, "epochs": "1"}, settings)
    done = job.run(("--skip-check", "--no-report"))
    assert done.status == "Completed"
    before = job.directory.hyperparameters()
    refused = TrainingJob.resume(job.directory, {"image_size": "48"}, settings)
    ended = refused.run(("--skip-check", "--no-report"))
    assert ended.exit_code == 2
    assert "now it is 48" in (ended.failure_reason or "")
    assert job.directory.hyperparameters() == before
    assert JobRecord.read(job.directory) == done
