"""Templates to HTML: a page's own ones, and those that all pages share."""

from __future__ import annotations

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clary.formats import finding_sentences
from clary.formats.text import counted
from clary.jobs.pages import wording


def page_environment(*packages: str) -> Environment:
    """The templates of packages of pages, with `page.html` to extend; names are escaped.

    Args:
        packages: those with a `templates` folder, such as `clary.jobs.report`; the first that has
            a template of some name gives it.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in (*packages, "clary.jobs.pages")]),
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
    environment.globals.update(counted=counted, interval=wording.interval)
    return environment


def command_line(text: str) -> Markup:
    """A command line that wraps between its words and not at the hyphens of its options."""
    parts = re.split(r"(\s+)", text)
    return Markup("").join(
        part if part.isspace() else Markup("<span>{}</span>").format(part) for part in parts if part
    )
