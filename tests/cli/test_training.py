"""`clary train` as a process, with the service that it starts: ends, stops, kills and resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from clary.formats.job_directory import JobDirectory
from clary.formats.service_record import ServiceRecord
from clary.sdk.session import Session
from clary.sdk.training_job import JobDescription, TrainingJob
from clary.settings import Settings
from tests.cli.conftest import Clary
from tests.conftest import write_pictures
from tests.one_service import clary_environment

__all__ = ["clary_environment"]

TINY = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": "32",
    "batch_size": "4",
    "epochs": "2",
    "precision": "fp32",
}
TIMES = ("seconds", "images_per_second")
Train = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    return write_pictures(folder, splits={"train": 8, "valid": 4, "test": 4}, size=40)


@pytest.fixture
def train(clary_environment: Mapping[str, str]) -> Train:
    """`clary train` in the background, in a session of its own: no terminal is involved."""

    @contextmanager
    def start(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", "clary", "train", *map(str, words)],
            env=clary_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            yield process

    return start  # type: ignore[return-value]


def options(**changes: str) -> list[str]:
    values = {**TINY, **changes}
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def job(name: str, home: Settings) -> TrainingJob:
    return TrainingJob(Session.on_this_machine(home, record=ServiceRecord.read(home)), name)


def described(name: str, home: Settings) -> JobDescription:
    return job(name, home).description()


def epochs(name: str, home: Settings) -> list[dict[str, object]]:
    path = JobDirectory(home.jobs_dir / name).output_data / "epochs.jsonl"
    lines = path.read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def wait_for_epochs(name: str, home: Settings, count: int) -> None:
    """Wait for the job itself: what it says takes its time to the terminal."""
    path = JobDirectory(home.jobs_dir / name).output_data / "epochs.jsonl"
    deadline = time.monotonic() + 300
    while not path.exists() or len(epochs(name, home)) < count:
        assert time.monotonic() < deadline, "the job trains too slowly"
        time.sleep(0.02)


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    assert process.stderr is not None
    raise AssertionError(f"no line begins with {beginning}: {process.stderr.read()}")


def test_a_training_leaves_a_model_and_its_report(
    clary: Clary, photos: Path, home: Settings, tmp_path: Path
) -> None:
    ended = clary("train", photos, "--name", "one", "--output", "kept", *options())
    assert ended.returncode == 0
    started, *more = ended.stderr.splitlines()
    assert started.startswith("Started the Clary service on 127.0.0.1:")
    assert more == []
    assert ended.stdout.startswith("Training one in ")
    assert ended.stdout.splitlines()[-1].startswith("one is done in ")

    found = described("one", home)
    assert found.status == "Completed"
    assert found.metrics["epoch"] == 2
    assert 0 <= found.metrics["best:valid_accuracy"] <= 1
    directory = JobDirectory(home.jobs_dir / "one")
    assert directory.location() == str(photos)
    kept = JobDirectory(tmp_path / "kept")
    with tarfile.open(kept.archive) as archive:
        assert {"model.json", "model.safetensors"} <= set(archive.getnames())
    assert (kept.model / "model.json").is_file()
    assert (kept.output_data / "report.html").is_file()
    assert sorted(photos.iterdir()) == [photos / name for name in ("test", "train", "valid")]
    # The pictures are served in place, and not from a copy.
    copies = [path for path in home.buckets_dir.rglob("*.jpg") if not path.is_symlink()]
    assert copies == []


def test_a_failed_training_keeps_its_reason(clary: Clary, picture_folder, home: Settings) -> None:
    ended = clary("train", picture_folder("single", classes=1), "--name", "single", *options())
    assert ended.returncode == 1
    sentences = [line for line in ended.stderr.splitlines() if not line.startswith("Started")]
    assert len(sentences) == 1
    assert sentences[0].startswith("clary: ")
    assert "Traceback" not in ended.stdout + ended.stderr
    found = described("single", home)
    assert found.status == "Failed"
    assert found.failure_reason is not None
    assert sentences[0].removeprefix("clary: ") in found.failure_reason
    assert ended.stdout.splitlines()[-1].startswith("single failed after ")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(
    train: Train, clary: Clary, photos: Path, home: Settings
) -> None:
    words = (photos, "--no-report", "--skip-check")
    # So many that they have not ended before the training is stopped, however late that is.
    with train(*words, "--name", "parts", *options(epochs="60")) as first:
        wait_for_epochs("parts", home, 2)
        first.send_signal(signal.SIGINT)
        output, errors = first.communicate(timeout=300)
    assert first.returncode == 130
    assert "clary: stopping parts, its checkpoint is kept" in errors
    assert "clary: stopped in epoch" in errors
    assert "clary train --resume parts" in output
    done = len(epochs("parts", home))
    assert 2 <= done < 60
    assert described("parts", home).status == "Stopped"

    resumed = clary("train", "--resume", "parts", "--no-report", "--skip-check")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.startswith("Resuming parts as parts-2 in ")
    assert "epoch 1/" not in resumed.stdout
    whole = clary("train", *words, "--name", "whole", *options(epochs="60"))
    assert whole.returncode == 0
    assert epochs("parts-2", home) == epochs("whole", home)

    refused = clary("train", "--resume", "parts-2", "--image-size", "48")
    assert refused.returncode == 1
    assert "now it is 48" in refused.stderr
    assert described("parts-2", home).status == "Completed"
    assert epochs("parts-2", home) == epochs("whole", home)
    other = clary("train", "digits", "--resume", "parts")
    assert other.returncode == 2
    assert "was trained on" in other.stderr


def test_a_killed_program_is_one_sentence(
    train: Train, clary: Clary, photos: Path, home: Settings
) -> None:
    words = (photos, "--name", "killed", "--no-report", *options(epochs="2000"))
    with train(*words) as process:
        wait_for_line(process, "epoch 1/")
        refused = clary("train", "--resume", "killed")
        assert refused.returncode == 2
        assert refused.stderr == (
            "clary: the job killed is running: wait for it, "
            "or stop it by `clary jobs stop killed`\n"
        )
        os.kill(program_of(home.jobs_dir / "killed"), signal.SIGKILL)
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "killed failed after " in output
    sentence = errors.splitlines()[-1]
    assert sentence.startswith("clary: ")
    assert "SIGKILL" in sentence or "137" in sentence
    assert described("killed", home).status == "Failed"


@pytest.mark.slow
def test_processes_that_train_together_stop_together(
    train: Train, photos: Path, home: Settings
) -> None:
    words = (photos, "--name", "both", "--no-report", *options(epochs="2000"), "--processes=2")
    with train(*words) as process:
        wait_for_line(process, "epoch 1/")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in output + errors
    assert "both stopped after " in output
    assert described("both", home).status == "Stopped"


@pytest.mark.slow
def test_a_training_survives_its_starter_and_its_service(
    train: Train, clary: Clary, photos: Path, home: Settings
) -> None:
    words = (photos, "--name", "orphan", "--no-report", "--skip-check", *options(epochs="20"))
    with train(*words) as starter:
        wait_for_line(starter, "epoch 1/")
        starter.kill()
        starter.wait()
    record = ServiceRecord.read(home)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    followed = clary("jobs", "logs", "--follow", "orphan")
    assert followed.returncode == 0
    lines = [line for line in followed.stdout.splitlines() if line.startswith("epoch ")]
    assert len(lines) == len(set(lines)) == 20
    last = clary("jobs", "logs", "orphan", "-n", "2")
    assert last.stdout.splitlines() == followed.stdout.splitlines()[-2:]
    assert described("orphan", home).status == "Completed"


@pytest.mark.slow
def test_a_training_that_is_shown_outlives_a_killed_service_and_a_stopped_one(
    train: Train, clary: Clary, photos: Path, home: Settings
) -> None:
    words = (photos, "--name", "shown", "--no-report", "--skip-check", *options(epochs="40"))
    with train(*words) as shown:
        wait_for_line(shown, "epoch 1/")
        record = ServiceRecord.read(home)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        output, errors = shown.communicate(timeout=300)
    assert shown.returncode == 0, errors
    numbers = [line.partition("/")[0] for line in output.splitlines() if line.startswith("epoch ")]
    assert numbers == [f"epoch {number}" for number in range(2, 41)]
    assert "Started the Clary service on " in errors
    assert "clary: the service was lost for a moment, and the job has gone on" in errors

    with train(photos, "--name", "two", "--no-report", *options(epochs="2000")) as shown:
        wait_for_line(shown, "epoch 1/")
        assert clary("stop").returncode == 0
        _, errors = shown.communicate(timeout=300)
    assert shown.returncode == 1
    assert errors == (
        "clary: the Clary service was stopped; the job goes on, and "
        "`clary jobs logs --follow two` shows it\n"
    )
    assert clary("jobs", "stop", "two").returncode == 0


def program_of(directory: Path) -> int:
    """The process that trains: the one whose command line names the job and that has no child."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = _holding(directory)
        if children:
            return max(children)
    raise AssertionError("nothing trains")


def _holding(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(directory) in str((entry / "cwd").readlink()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
