"""`clary train` is profiled by default: it ends with what holds it back, and its page shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from clary.formats.job_directory import JobDirectory
from clary.settings import Settings
from tests.cli.conftest import Clary
from tests.cli.test_watched_training import TINY

OPTIONS = [f"--{name}={value}" for name, value in {**TINY, "lr": "0.01"}.items()]


@pytest.mark.slow
def test_a_training_says_where_its_time_went(
    clary: Clary, picture_folder, clary_environment: Mapping[str, str]
) -> None:
    photos = picture_folder("photos", splits={"train": 40, "valid": 4}, size=40)
    home = Settings(home=Path(clary_environment["CLARY_HOME"]))
    words = ("--name", "one", "--skip-check", "--debug", "off", *OPTIONS)
    ended = clary("train", photos, *words)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("time      "))
    assert "see       clary profile one" in lines[place + 1 :]
    assert lines[-1].startswith("one is done in ")

    directory = JobDirectory(home.jobs_dir / "one")
    report = directory.root / "rules.profiler" / "ProfilerReport" / "profiler-output"
    assert len([path for path in report.rglob("*") if path.is_file()]) == 13
    verdict = " ".join(line[10:] for line in lines[place:-2])
    page = (directory.output_data / "report.html").read_text(encoding="utf-8")
    assert "Where the time went" in page
    assert verdict.partition(".")[0] in " ".join(page.replace("&#39;", "'").split())

    shown = clary("profile", "one")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("one  cpu · ")
    assert (directory.root / "profile.html").is_file()

    # A job is profiled as the one that it goes on from, unless something else is said.
    def asked(name: str) -> dict[str, object]:
        path = home.jobs_dir / name / "input" / "config" / "profilerconfig.json"
        return dict(json.loads(path.read_text()))

    full = clary("train", "--resume", "one", "--epochs=4", "--no-report", "--profile", "full")
    assert full.returncode == 0, full.stderr
    assert "DetailedProfilingConfig" in str(asked("one-2"))
    again = clary("train", "--resume", "one-2", "--epochs=5", "--no-report")
    assert again.returncode == 0, again.stderr
    assert asked("one-3") == asked("one-2")
    off = clary("train", "--resume", "one-3", "--epochs=6", "--no-report", "--profile=off")
    assert off.returncode == 0, off.stderr
    assert "time      " not in off.stdout
    silent = clary("profile", "latest")
    assert silent.returncode == 2
    assert silent.stderr.startswith("clary: one-4 was not profiled: `clary train` does it unless")
