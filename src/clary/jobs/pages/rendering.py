"""Templates to HTML: a page's own ones, and those that all pages share."""

from __future__ import annotations

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clary.formats import finding_sentences
from clary.jobs.pages import wording


def page_environment(package: str) -> Environment:
    """The templates of a package of pages, with `page.html` to extend; names are escaped.

    Args:
        package: the package with a `templates` folder, such as `clary.jobs.report`.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("clary.jobs.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        readable=wording.readable,
        duration=wording.duration,
        command=command_line,
        sentence=finding_sentences.sentence,
        where=finding_sentences.where,
    )
    environment.globals.update(counted=wording.counted, interval=wording.interval)
    return environment


def command_line(text: str) -> Markup:
    """A command line that wraps between its words and not at the hyphens of its options."""
    parts = re.split(r"(\s+)", text)
    return Markup("").join(
        part if part.isspace() else Markup("<span>{}</span>").format(part) for part in parts if part
    )
