from __future__ import annotations

from pathlib import Path

from clary.jobs.profile_report.comparison import compare
from clary.jobs.profile_report.page import draw, render
from tests.jobs.pages.page_reader import Page
from tests.jobs.profile_report.test_page import judged, machine_alone
from tests.profiler.made_profiles import slow_loading, small_batches, well_built


def test_the_faster_one_is_named_with_where_the_difference_lies(tmp_path: Path) -> None:
    before, after = judged(slow_loading(tmp_path / "a")), judged(well_built(tmp_path / "b"))
    for pair in ((before, after), (after, before)):
        compared = compare(*pair)
        assert "2.5 × as fast" in compared.sentences[0]
        assert "170 pictures a second against 69" in compared.sentences[0]
        assert "waiting for data" in compared.sentences[1]
    rows = {row.label: row for row in compare(before, after).rows}
    assert rows["pictures a second"].better is True
    assert rows["a training step, in the middle"].better is True
    assert rows["  waiting for data"].factor.startswith("0.0")
    assert rows["  forward"].better is None
    settings = {row.label: (row.first, row.second) for row in compare(before, after).settings}
    assert settings["loader: workers"] == ("0", "4")
    assert "device" not in settings


def test_two_alike_are_called_alike(tmp_path: Path) -> None:
    first, second = judged(well_built(tmp_path / "a")), judged(well_built(tmp_path / "b"))
    compared = compare(first, second)
    assert "equally fast" in compared.sentences[0]
    assert len(compared.sentences) == 1
    assert compared.settings == ()


def test_a_job_without_steps_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    first, second = judged(machine_alone(tmp_path / "a")), judged(small_batches(tmp_path / "b"))
    compared = compare(first, second)
    assert "cannot be compared" in compared.sentences[0]
    assert any(row.label == "CPU, in the middle" for row in compared.rows)
    page = Page(render(first, draw(first), compared))
    assert "no step was seen" in page.text


def test_the_page_shows_both_bars_to_one_scale(tmp_path: Path) -> None:
    before, after = judged(slow_loading(tmp_path / "a")), judged(well_built(tmp_path / "b"))
    compared = compare(before, after)
    page = Page(render(before, draw(before), compared))
    assert "compared" in page.values("id")
    scales = [side.step_scale for side in compared.sides]
    assert scales[0] == 1.0
    assert 0.3 < scales[1] < 0.5
    assert f"width:{100 * scales[1]:.2f}%" in page.values("style")
