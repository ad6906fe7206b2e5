from __future__ import annotations

from clary.jobs.pages.rendering import command_line, page_environment


def test_a_command_line_wraps_between_words_only_and_stays_text() -> None:
    assert command_line("clary train <a>\n--lr 1") == (
        "<span>clary</span> <span>train</span> <span>&lt;a&gt;</span>\n"
        "<span>--lr</span> <span>1</span>"
    )


def test_every_package_of_pages_finds_the_frame_they_share() -> None:
    for package in ("clary.jobs.report", "clary.jobs.tuning_report"):
        assert {"page.html", "page.css", "page.js"} <= set(
            page_environment(package).list_templates()
        )
