"""Where the time went, on the training's page: written with it, and put into it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.formats.job_directory import JobDirectory
from clary.formats.timeline import TimelineWriter
from clary.jobs.program import exit_code
from clary.jobs.report.__main__ import main
from clary.jobs.report.time_section import look_at
from clary.profiler.diagnosis import verdict
from tests.jobs.pages.page_reader import Page
from tests.profiler.made_profiles import MADE


@pytest.fixture
def directory(tmp_path: Path) -> JobDirectory:
    made = JobDirectory(tmp_path / "run")
    made.create()
    made.write_inputs({"epochs": "1"}, {"training": tmp_path})
    return made


def page_of(directory: JobDirectory) -> Page:
    return Page((directory.output_data / "report.html").read_text(encoding="utf-8"))


def test_the_verdict_and_a_step_stand_on_the_page(directory: JobDirectory) -> None:
    profile = MADE["slow_loading"](directory.root / "output" / "profiler")
    assert exit_code(main, [str(directory.root)]) == 0
    page = page_of(directory)
    seen = " ".join(page.text.split())
    for sentence in verdict(profile)[1:]:
        assert " ".join(sentence.split()) in seen
    assert "of a training step go" in seen
    assert "waiting for data" in seen
    assert "clary profile run" in seen


def test_what_is_recorded_later_is_put_into_the_page(directory: JobDirectory) -> None:
    assert exit_code(main, [str(directory.root)]) == 0
    before = page_of(directory)
    assert "Nothing is known about where the time went: the training was not" in before.text
    MADE["well_built"](directory.root / "output" / "profiler")
    assert exit_code(main, [str(directory.root), "--rules-only"]) == 0
    after = page_of(directory)
    assert "It is well built" in after.text
    assert "Nothing is known about where the time went" not in after.text
    written = (directory.output_data / "report.html").read_text(encoding="utf-8")
    assert exit_code(main, [str(directory.root)]) == 0
    assert (directory.output_data / "report.html").read_text(encoding="utf-8") == written


def test_a_job_that_took_no_step_has_no_bar(directory: JobDirectory) -> None:
    TimelineWriter(directory.root / "output" / "profiler").close()
    assert exit_code(main, [str(directory.root)]) == 0
    assert "no training step was seen" in page_of(directory).text
    assert "of a training step go" not in page_of(directory).text


def test_a_damaged_profile_is_a_sentence(directory: JobDirectory) -> None:
    writer = TimelineWriter(directory.root / "output" / "profiler")
    (writer.folder / "facts.json").write_text("{")
    assert "facts.json is damaged" in (look_at(directory).missing or "")
    assert exit_code(main, [str(directory.root)]) == 0
    assert "facts.json is damaged" in page_of(directory).text
