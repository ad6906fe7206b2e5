from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clary.formats.data_check import CheckFinding, CheckReport
from clary.formats.files import write_text
from clary.formats.job_directory import JobDirectory
from clary.jobs.program import exit_code
from clary.jobs.report import write_report
from clary.jobs.report.__main__ import main
from tests.jobs.pages.page_reader import Page

SECTIONS = (
    "verdict",
    "trained",
    "curves",
    "rules",
    "confusion",
    "classes",
    "calibration",
    "mistakes",
    "samples",
    "check",
    "card",
)


def page_of(directory: JobDirectory, settings) -> Page:
    return Page(write_report(directory, settings=settings).read_text(encoding="utf-8"))


def test_a_finished_run_is_told_in_full(job, picture_folder, settings):
    data = picture_folder(classes=6, splits={"train": 4, "valid": 4, "test": 8})
    directory = job(data)
    check = CheckReport(
        dataset="pictures",
        layout="folders",
        classes=(),
        counts={},
        pictures=96,
        seconds=0.2,
        findings=(
            CheckFinding(
                code="tiny",
                severity="warning",
                message="Some are tiny",
                count=2,
                names=("a<i>.jpg", "b.jpg"),
            ),
        ),
    )
    write_text(directory.output_data / "data_check.json", check.model_dump_json())
    path = write_report(directory, settings=settings)
    text = path.read_text(encoding="utf-8")
    page = Page(text)

    assert path == directory.output_data / "report.html"
    assert len(text.encode()) < 3_000_000
    assert "of 48 unseen pictures right" in page.text
    assert set(SECTIONS) <= set(page.values("id"))
    assert "cannot be shown" not in page.text
    assert "Some are tiny" in page.text
    assert "Batch size halved" in page.text
    assert "best: epoch 2" in page.text
    wrong = sum(tag == "article" for tag, _ in page.tags)
    assert 0 < wrong <= 24
    assert "the policy “standard”" in page.text


def test_the_page_asks_the_network_for_nothing(job, picture_folder, settings):
    directory = job(picture_folder(splits={"train": 3, "valid": 3, "test": 4}))
    text = write_report(directory, settings=settings).read_text(encoding="utf-8")
    page = Page(text)
    links = [*page.values("src"), *page.values("href")]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_names_that_hold_html_stay_names(job, tmp_path: Path, picture_folder, settings):
    data = picture_folder(classes=2, splits={"train": 3, "valid": 3, "test": 5})
    evil = "<img src=x onerror=alert(1)>"
    for split in ("train", "valid", "test"):
        folder = (data / split / "class_0").rename(data / split / evil)
        for number, picture in enumerate(sorted(folder.iterdir())):
            picture.rename(folder / f"'\"&<script>{number}.jpg")
    page = page_of(job(data, name="<b>run&"), settings)
    assert evil in page.text
    assert not page.values("onerror")
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert "b" not in {tag for tag, attrs in page.tags if attrs.get("src") == "x"}


def test_pictures_that_have_moved_are_said(job, picture_folder, settings):
    data = picture_folder(splits={"train": 3, "valid": 3, "test": 4})
    directory = job(data)
    shutil.rmtree(data)
    page = page_of(directory, settings)
    assert page.text.count("The pictures cannot be shown") == 2
    assert "unseen pictures right" in page.text


def test_other_pictures_are_not_shown_as_the_mistakes(job, picture_folder, settings):
    data = picture_folder(splits={"train": 3, "valid": 3, "test": 4})
    directory = job(data)
    for picture in (data / "test").rglob("*.jpg"):
        picture.rename(picture.with_name(f"new{picture.name}"))
    assert "not the ones that the model was judged on" in page_of(directory, settings).text


def test_without_a_test_split_the_page_says_so(job, picture_folder, settings):
    directory = job(picture_folder(splits={"train": 3, "valid": 5, "test": 3}), splits=("valid",))
    page = page_of(directory, settings)
    assert "of 15 held-out pictures right" in page.text
    assert "There is no test split" in page.text


def test_many_classes_become_a_picture_and_a_corner(job, picture_folder, settings):
    directory = job(picture_folder(classes=34, size=16, splits={"train": 1, "valid": 1, "test": 2}))
    page = page_of(directory, settings)
    assert "All 34 classes" in page.text
    assert "confusion-cells" in page.values("id")


def test_a_frozen_run_shows_the_views_that_were_cached(job, picture_folder, settings):
    data = picture_folder(splits={"train": 3, "valid": 3, "test": 4})
    directory = job(data, options={"trainable_layers": 0, "views": 2})
    run = directory.output_data / "run.json"
    run.write_text(run.read_text().replace('"trainable_layers": "all"', '"trainable_layers": 0'))
    assert "The frozen backbone saw 2 views" in page_of(directory, settings).text


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_that_did_not_finish_has_a_page_too(tmp_path: Path, settings, failed):
    directory = JobDirectory(tmp_path / "run")
    directory.create()
    directory.write_inputs({}, {"training": tmp_path / "gone"})
    if failed:
        directory.write_failure("the disk is full while writing x: free some space")
    page = page_of(directory, settings)
    assert set(SECTIONS) <= set(page.values("id"))
    assert ("This run failed" in page.text) == failed
    assert ("the disk is full" in page.text) == failed
    assert "There are no curves" in page.text


def test_damaged_files_are_said(job, picture_folder, settings):
    directory = job(picture_folder(splits={"train": 3, "valid": 3, "test": 4}))
    for name in ("epochs.jsonl", "evaluation.json", "run.json", "data_check.json"):
        (directory.output_data / name).write_text("[1", encoding="utf-8")
    (directory.output_data / "epochs.jsonl").write_text('{"epoch": "x"}\n', encoding="utf-8")
    page = page_of(directory, settings)
    assert "is not a history of epochs" in page.text
    assert "is not readable as JSON" in page.text


def test_the_program_writes_where_it_is_told(job, picture_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CLARY_HOME", str(tmp_path / "home"))
    directory = job(picture_folder(splits={"train": 3, "valid": 3, "test": 4}))
    target = tmp_path / "out" / "page.html"
    assert exit_code(main, [str(directory.root), "-o", str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    Page(target.read_text(encoding="utf-8"))
    assert exit_code(main, [str(tmp_path / "nothing")]) == 1
    assert "is not a job directory" in capsys.readouterr().err
