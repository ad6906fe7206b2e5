"""Writes the report's folder as SageMaker lays it out: a page, a notebook and eleven files.

profiler-report.html   profiler-report.ipynb   profiler-reports/<Rule>.json
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clary.formats.files import write_text
from clary.formats.profiler_rule_parameters import ProfilerParameters
from clary.jobs.profile_report.material import gather
from clary.jobs.profile_report.notebook import notebook_text
from clary.jobs.profile_report.page import draw, render
from clary.jobs.profile_report.rule_data import rule_data
from clary.jobs.profile_report.rule_files import write_rule_files
from clary.profiler.profile import Profile
from clary.profiler.rules.rule import Judgement


def write_profile_report(
    profile: Profile,
    folder: Path,
    judgements: Mapping[str, Judgement],
    *,
    name: str = "profiler-report",
    parameters: Mapping[str, ProfilerParameters] | None = None,
) -> Path:
    """Write everything known of a job's time: thirteen files, each replaced atomically.

    Args:
        profile: what was recorded; it is not refreshed.
        folder: `profiler-output`; it is made.
        judgements: what each rule says of it, by the rule's name; a rule that is not among them
            has looked at nothing.
        name: of the page and of the notebook, without suffix.
        parameters: those of rules that were not judged by the defaults.

    Returns:
        The page.

    Raises:
        StorageError: a file cannot be written.
    """
    material = gather(profile, judgements, parameters=parameters)
    drawn = draw(material)
    write_rule_files(folder / "profiler-reports", material, rule_data(material, drawn))
    write_text(folder / f"{name}.ipynb", notebook_text(material.name))
    path = folder / f"{name}.html"
    write_text(path, render(material, drawn))
    return path
