from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clary.formats.tuning_record import CategoricalRange, Objective, TuningRecord
from clary.jobs.program import exit_code
from clary.jobs.tuning_report.__main__ import main
from clary.jobs.tuning_report.page import render, write_report
from tests.jobs.pages.page_reader import Page
from tests.jobs.tuning_report.records import RANGES, build_record

SECTIONS = {"verdict", "mattered", "history", "together", "slices", "trials", "search"}
IMPORTANCES = {"lr": 0.7, "dropout": 0.2, "batch_size": 0.08, "epochs": 0.02}


def numbers(page: Page, kind: str) -> set[str | None]:
    """The trials that elements of a kind stand for."""
    return {
        attrs["data-trial"]
        for tag, attrs in page.tags
        if "data-trial" in attrs and kind in (tag, *(attrs.get("class") or "").split())
    }


def test_a_tuning_job_is_told_in_full() -> None:
    record = build_record(
        20,
        failed={7},
        early={3, 9},
        importances=IMPORTANCES,
        early_stopping=True,
        parents=("earlier",),
        fixed={"model": '"resnet18"'},
        completion="the limit of 20 trials was reached",
    )
    page = Page(render(record))
    every = {str(trial.number) for trial in record.trials}
    assert set(page.values("id")) >= SECTIONS
    assert numbers(page, "tr") == numbers(page, "run") == every
    assert numbers(page, "early") == {"3", "9"}
    assert numbers(page, "failed") == {"7"}
    assert numbers(page, "best-run") == numbers(page, "winning") == {str(record.best)}
    assert "lr 70 % best " in page.text
    assert "20 trials" in page.text
    assert "2 stopped early" in page.text
    assert "The limit of 20 trials was reached" in page.text
    assert "model resnet18" in page.text
    assert "RuntimeError: out of memory" in page.text
    assert "Nothing to draw" not in page.text


def test_the_figures_follow_the_order_of_importance() -> None:
    importances = {"epochs": 0.6, "dropout": 0.3, "lr": 0.1}
    text = render(build_record(8, importances=importances))
    labels = re.findall(r'aria-label="valid accuracy by (\w+)"', text)
    assert labels == ["trial", "epochs", "dropout", "lr", "batch_size"]


@pytest.mark.parametrize(
    "record",
    [
        build_record(0),
        build_record(1),
        build_record(2, epochs=1),
        build_record(5, failed={1, 2, 3, 4, 5}),
        build_record(3, silent={1, 2, 3}),
        build_record(6, values=[0.9] * 6),
        build_record(4, ranges=[RANGES[0].model_copy(update={"low": 0.01, "high": 0.01})]),
        build_record(4, ranges=[CategoricalRange(name="batch_size", values=("8",))]),
        build_record(9, values=[0.9, 0.8, 0.7, 0.9, 0.8, 1e30, 0.7, 0.1, 0.9]),
        build_record(
            9,
            values=[9.0, 0.3, 0.2, 0.25, 1e9, 0.3, 0.31, 0.22, 0.28],
            best=3,
            objective=Objective(name="average test loss", direction="Minimize"),
        ),
    ],
    ids=[
        "none",
        "one",
        "short",
        "failed",
        "silent",
        "equal",
        "point",
        "outside",
        "huge",
        "diverged",
    ],
)
def test_every_ending_has_a_whole_page(record: TuningRecord) -> None:
    text = render(record)
    page = Page(text)
    assert set(page.values("id")) >= SECTIONS
    drawn = [*page.values("d"), *page.values("cx"), *page.values("cy"), *page.values("points")]
    assert not any(re.search("nan|inf|None", value) for value in drawn)
    assert len(numbers(page, "tr")) == len(record.trials)


def test_what_lies_far_off_is_drawn_at_the_edge_and_said() -> None:
    record = build_record(
        9,
        values=[9.0, 0.3, 0.2, 0.25, 1e9, 0.3, 0.31, 0.22, 0.28],
        best=3,
        objective=Objective(name="loss", direction="Minimize"),
    )
    assert "2 trials far off are drawn as triangles" in Page(render(record)).text


def test_a_hundred_trials_with_thirty_parameters_stay_readable() -> None:
    many = [RANGES[0].model_copy(update={"name": f"rate_{k}"}) for k in range(29)]
    text = render(build_record(100, ranges=[*RANGES[:1], *many]))
    assert len(text.encode()) < 1_500_000
    assert "23 least important hyperparameters are left out" in Page(text).text


def test_the_page_asks_the_network_for_nothing() -> None:
    text = render(build_record(6, failed={2}))
    page = Page(text)
    links = [*page.values("src"), *page.values("href")]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_names_that_hold_html_stay_names() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    record = build_record(
        5,
        failed={5},
        name=evil,
        objective=Objective(name=evil, direction="Maximize"),
        ranges=[*RANGES, CategoricalRange(name=evil, values=("<b>",))],
        command=f"clary train '{evil}'",
        completion=evil,
    )
    page = Page(render(record))
    assert evil in page.text
    assert not page.values("onerror")
    assert sum(tag == "script" for tag, _ in page.tags) == 2


def test_what_the_pointer_shows_is_readable_by_the_script() -> None:
    text = render(build_record(3, early={2}))
    found = re.search(r'id="trial-texts">(.*?)</script>', text)
    assert found
    said = json.loads(found.group(1))
    assert set(said) == {"1", "2", "3"}
    assert said["2"][0].endswith("stopped early")
    assert len(said["1"]) == 1 + len(RANGES)


def test_the_program_writes_where_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_record(4).write(tmp_path / "job")
    assert exit_code(main, [str(tmp_path / "job")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "job" / "report.html")
    target = tmp_path / "out" / "page.html"
    assert exit_code(main, [str(tmp_path / "job"), "-o", str(target)]) == 0
    Page(target.read_text(encoding="utf-8"))
    capsys.readouterr()
    assert exit_code(main, [str(tmp_path / "nothing")]) == 1
    assert "tuning.json is missing" in capsys.readouterr().err


def test_writing_needs_nothing_but_the_record(tmp_path: Path) -> None:
    build_record(4).write(tmp_path)
    assert write_report(tmp_path) == tmp_path / "report.html"
