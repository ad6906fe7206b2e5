"""`clary train` is watched by default: its rules report, its page tells, `clary debug` shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.formats.job_directory import JobDirectory
from clary.settings import Settings
from tests.cli.conftest import Clary

TINY = {
    "model": "test_resnet",
    "weights": "none",
    "image-size": "32",
    "batch-size": "4",
    "epochs": "3",
    "precision": "fp32",
    "augmentation": "none",
    "lr": "100",
}


@pytest.fixture
def photos(picture_folder) -> Path:
    return picture_folder("photos", splits={"train": 8, "valid": 4}, size=40)


@pytest.mark.slow
def test_a_training_that_goes_wrong_says_so(
    clary: Clary, photos: Path, home: Settings, tmp_path: Path
) -> None:
    options = [f"--{name}={value}" for name, value in TINY.items()]
    words = ("--name", "one", "--output", "kept", "--skip-check", *options)
    ended = clary("train", photos, *words)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    (verdict,) = [line for line in lines if line.startswith("rules     ")]
    assert "still judging" not in verdict
    heading = next(k for k, line in enumerate(lines) if line.startswith("WeightUpdateRatio  at"))
    below = lines[heading:]
    assert any(line.startswith("  why  ") for line in below)
    assert any(line.startswith("  try  ") for line in below)
    assert lines[-1].startswith("one is done in ")

    directory = JobDirectory(home.jobs_dir / "one")
    for page in (directory.output_data, JobDirectory(tmp_path / "kept").output_data):
        text = (page / "report.html").read_text(encoding="utf-8")
        assert verdict.removeprefix("rules     ") in text
        assert "still judging" not in text
    shown = clary("debug", "one")
    assert shown.returncode == 1
    assert shown.stdout.startswith("one  Completed · steps 0 to ")
    assert "CrossEntropyLoss_output_0 by step  ⠒ train  • valid" in shown.stdout
    followed = clary("debug", "one", "-f", "--rule", "WeightUpdateRatio")
    assert followed.returncode == 1
    assert followed.stdout.startswith("WeightUpdateRatio: IssuesFound")

    # What was watched is watched again, unless something else is said.
    resumed = clary("train", "--resume", "one", "--epochs=4", "--no-report")
    assert resumed.returncode == 0, resumed.stderr
    configuration = [
        json.loads((home.jobs_dir / name / "input/config/debughookconfig.json").read_text())
        for name in ("one", "one-2")
    ]
    assert configuration[0] == configuration[1]
    unwatched = clary("train", "--resume", "one-2", "--epochs=5", "--no-report", "--debug=off")
    assert unwatched.returncode == 0, unwatched.stderr
    assert "rules     " not in unwatched.stdout
    silent = clary("debug", "one-3")
    assert silent.stdout == ("one-3  Completed · nothing is watched: `clary train --debug` does\n")
    assert silent.returncode == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("digits", "--debug", "gradient"), "--debug is 'gradient' but must be one of"),
        (("--debug", "photos/"), "--debug is 'photos/' but must be one of"),
        (("digits", "--debug", "all,weights"), "--debug is 'all,weights' but all, auto and off"),
    ],
)
def test_mistakes_are_one_sentence(clary: Clary, words: tuple[str, ...], sentence: str) -> None:
    ended = clary("train", *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"clary: {sentence}")
    assert len(ended.stderr.splitlines()) == 1
