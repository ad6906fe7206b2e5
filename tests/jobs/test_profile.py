from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clary.errors import DataError, FormatError, UsageError
from clary.jobs.profile import main
from tests.jobs.pages.page_reader import Page
from tests.profiler.made_profiles import (
    START_S,
    MadeJob,
    everything,
    often_saved,
    slow_loading,
    well_built,
)


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", **variables}
    return subprocess.run(
        [sys.executable, "-m", "clary.jobs.profile", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_the_summary_comes_first_and_then_the_page(tmp_path: Path) -> None:
    slow_loading(tmp_path / "job")
    ended = run(tmp_path / "job", "--name", "dogs")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("dogs")
    assert "waits for data" in lines[1]
    assert lines[-1] == f"page: {tmp_path / 'job' / 'profile.html'}"
    assert all(len(line) <= 80 for line in lines[:-1])
    for words in ("the job", "a step", "the machine", "num_workers", "rules: "):
        assert words in ended.stdout
    assert "\x1b[" not in ended.stdout
    page = Page((tmp_path / "job" / "profile.html").read_text())
    assert "dogs" in page.text
    assert ended.stderr == ""


def test_the_parts_of_a_bar_differ_without_colours_and_without_unicode(tmp_path: Path) -> None:
    well_built(tmp_path)
    ended = run(tmp_path, "--no-page", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    bar = next(line for line in ended.stdout.splitlines() if line.startswith("a step"))
    assert len(set(bar.split()[2])) >= 4
    assert ended.stdout.isascii()
    assert not (tmp_path / "profile.html").exists()


def test_a_program_that_trains_nothing_was_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = MadeJob(tmp_path / "job")
    job.pass_time(5.0)
    job.sample()
    (tmp_path / "job" / "timeline" / "worker_0" / "facts.json").unlink()
    assert main([str(tmp_path / "job"), "--no-page", "--ended", str(START_S + 5)]) == 0
    said = capsys.readouterr().out
    assert "running 5.0 s 100 %" in said
    assert "initialization" not in said


def test_what_no_rule_stands_for_is_said_beside_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    often_saved(tmp_path / "job")
    assert main([str(tmp_path / "job"), "--no-page"]) == 0
    said = capsys.readouterr().out
    assert "as fast is within reach" in said
    assert "rules: none fired; what the verdict names is judged by none" in said


def test_two_jobs_are_compared(tmp_path: Path) -> None:
    slow_loading(tmp_path / "a")
    well_built(tmp_path / "b")
    ended = run(
        tmp_path / "a", "--name", "before", "--against", tmp_path / "b", "--against-name", "after"
    )
    assert ended.returncode == 0, ended.stderr
    assert "after trains 2.5 × as fast as before" in ended.stdout
    assert "loader: workers" in ended.stdout
    assert (tmp_path / "a" / "profile-comparison.html").is_file()
    assert not (tmp_path / "a" / "profile.html").exists()


def test_the_page_goes_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    often_saved(tmp_path / "job")
    wanted = tmp_path / "elsewhere" / "page.html"
    assert main([str(tmp_path / "job"), "-o", str(wanted)]) == 0
    assert str(wanted) in capsys.readouterr().out.replace("\n", "")
    assert wanted.is_file()
    assert not (tmp_path / "job" / "profile.html").exists()


def test_a_trace_is_written_for_perfetto(tmp_path: Path) -> None:
    everything(tmp_path / "job")
    assert main([str(tmp_path / "job"), "--no-page", "--trace", str(tmp_path / "t.json")]) == 0
    held = json.loads((tmp_path / "t.json").read_text())
    assert held["traceEvents"]


def test_beginning_and_end_may_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    well_built(tmp_path / "job")
    told = ["--started", str(START_S - 30), "--ended", str(START_S + 120)]
    assert main([str(tmp_path / "job"), "--no-page", *told]) == 0
    assert "initialization 34 s" in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_shown_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        main([str(tmp_path / "never")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds nothing that a profiler recorded"):
        main([str(tmp_path / "empty")])
    well_built(tmp_path / "damaged")
    (tmp_path / "damaged" / "timeline" / "worker_0" / "facts.json").write_text("{")
    with pytest.raises(FormatError, match=r"facts\.json is damaged"):
        main([str(tmp_path / "damaged")])
    with pytest.raises(UsageError, match="--no-page excludes"):
        main([str(tmp_path / "empty"), "--no-page", "--open"])
    with pytest.raises(UsageError, match=r"--trace is .*, a folder: give the file to write"):
        main([str(tmp_path / "empty"), "--trace", str(tmp_path)])
    ended = run(tmp_path / "empty")
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1
