"""Sections that can be put into a written report anew.

The page is written when the training ends, a moment before its rules have judged all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from clary.errors import DataError
from clary.formats.files import storage_errors, write_text
from clary.formats.job_directory import JobDirectory
from clary.jobs.pages.rendering import page_environment
from clary.jobs.report import rules_section, time_section
from clary.profiler.wording import brief

# Each has a template of its name.
SECTIONS: Mapping[str, Callable[[JobDirectory], Mapping[str, Any]]] = {
    "rules": rules_section.section_values,
    "time": time_section.section_values,
}


def report_environment() -> Environment:
    """The templates of the report, and those of the profile's page that it shows parts of."""
    environment = page_environment("clary.jobs.report", "clary.jobs.profile_report")
    environment.filters.update(brief=brief)
    environment.globals.update(begin=_begin, end=_end)
    return environment


def section_values(directory: JobDirectory) -> Mapping[str, Any]:
    """What the templates of all sections need."""
    return {key: value for values in SECTIONS.values() for key, value in values(directory).items()}


def refresh_sections(directory: JobDirectory, page: Path) -> None:
    """Put the sections into a written report as they stand now.

    Raises:
        DataError: there is no report, or none of this version.
        StorageError: it cannot be written.
    """
    if not page.is_file():
        raise DataError(f"there is no report {page}: `clary report` writes it")
    with storage_errors(page):
        text = page.read_text(encoding="utf-8")
    environment = report_environment()
    for name, values in SECTIONS.items():
        before, begin, rest = text.partition(_begin(name))
        _, end, after = rest.partition(_end(name))
        if not begin or not end:
            raise DataError(f"{page} has no place for {name}: write it anew with `clary report`")
        section = environment.get_template(f"{name}.html").render(values(directory))
        text = f"{before}{begin}\n{section}\n{end}{after}"
    write_text(page, text)


def _begin(name: str) -> Markup:
    return Markup("<!-- {}: begin -->").format(name)


def _end(name: str) -> Markup:
    return Markup("<!-- {}: end -->").format(name)
