"""The section of the report about where the time went: the verdict, and a step as one bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.errors import ClaryError
from clary.formats.job_directory import JobDirectory
from clary.jobs.profile_report.step_bar import StepBar, step_bar
from clary.profiler.diagnosis import verdict
from clary.profiler.profile import Profile

PROFILER = Path("output") / "profiler"


@dataclass(frozen=True)
class Timing:
    """What the section is made of; `missing` says why there is nothing."""

    missing: str | None = None
    sentences: tuple[str, ...] = ()
    step: StepBar | None = None


def section_values(directory: JobDirectory) -> Mapping[str, Any]:
    """What the section's template needs."""
    return {"drawn": look_at(directory), "name": directory.root.name}


def look_at(directory: JobDirectory) -> Timing:
    """Read what was recorded of a job's time."""
    folder = directory.root / PROFILER
    if not folder.is_dir():
        return Timing(missing="the training was not profiled, or what was recorded of it is gone")
    try:
        profile = Profile.open([folder])
        return Timing(None, verdict(profile), step_bar(profile))
    except (ClaryError, OSError) as error:
        return Timing(missing=str(error))
