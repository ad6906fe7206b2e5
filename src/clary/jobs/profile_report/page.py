"""The page: all parts put into the templates, and one file written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.formats.files import write_text
from clary.formats.findings import Finding
from clary.jobs.pages.rendering import page_environment
from clary.jobs.profile_report.comparison import Comparison, compare
from clary.jobs.profile_report.cores import CoresPicture, cores_picture
from clary.jobs.profile_report.job_bar import JobBar, job_bar, job_window
from clary.jobs.profile_report.job_facts import fact_rows, time_rows
from clary.jobs.profile_report.lanes import (
    MOST_HOSTS,
    HostLanes,
    Lane,
    Tick,
    host_lanes,
    time_ticks,
)
from clary.jobs.profile_report.loading import DataLoading, data_loading
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.memory import MemoryRow, memory_rows
from clary.jobs.profile_report.operators import (
    FunctionTable,
    OperatorTables,
    function_table,
    operator_tables,
)
from clary.jobs.profile_report.resources import QUANTILES, Resource, resources
from clary.jobs.profile_report.rules_table import RuleRow, findings, rule_rows, untold_findings
from clary.jobs.profile_report.step_bar import StepBar, step_bar
from clary.jobs.profile_report.step_lane import step_lane
from clary.jobs.profile_report.step_lengths import (
    Histogram,
    Outliers,
    StepRow,
    outliers,
    step_histograms,
    step_rows,
)
from clary.jobs.profile_report.usage import UsageRow, usage_rows
from clary.jobs.profile_report.verdict import Advice, Headline, advice, headline, tiles
from clary.jobs.profile_report.words import PART_WORDS, PHASE_WORDS
from clary.profiler.wording import brief, number, size, times

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:×|%|µs|ms|s|min|h|B|kB|MB|GB|TB)\b|[×%])")


@dataclass(frozen=True)
class Drawn:
    """All parts of the page, ready for the templates."""

    headline: Headline
    advice: tuple[Advice, ...]
    tiles: tuple[tuple[str, str], ...]
    bar: JobBar | None
    times: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    ticks: tuple[Tick, ...]
    step_lane: Lane | None
    hosts: tuple[HostLanes, ...]
    cores: tuple[CoresPicture, ...]
    resources: tuple[Resource, ...]
    usage: tuple[UsageRow, ...]
    step: StepBar | None
    step_rows: tuple[StepRow, ...]
    histograms: tuple[tuple[str, Histogram], ...]
    outliers: Outliers | None
    loading: DataLoading
    memory: tuple[MemoryRow, ...]
    operators: OperatorTables | None
    functions: FunctionTable | None
    rules: tuple[RuleRow, ...]
    findings: tuple[Finding, ...]

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All figures over time, from top to bottom."""
        steps = () if self.step_lane is None else (self.step_lane,)
        return (*steps, *(lane for host in self.hosts for lane in host.lanes))


def write_page(material: Material, path: Path, *, against: Material | None = None) -> Path:
    """Write everything known of a job's time on one HTML page that needs no network.

    Args:
        material: the job.
        path: the file.
        against: a job to compare it with.

    Raises:
        StorageError: the file cannot be written.
    """
    compared = None if against is None else compare(material, against)
    write_text(path, render(material, draw(material), compared))
    return path


def draw(material: Material) -> Drawn:
    """Compute all parts."""
    profile, window = material.profile, job_window(material)
    measured = resources(profile)
    main = profile.main
    pictures = [] if window is None else [cores_picture(host, window) for host in profile.hosts]
    return Drawn(
        headline=headline(material),
        advice=advice(material),
        tiles=tiles(material),
        bar=job_bar(material),
        times=time_rows(material),
        facts=fact_rows(material),
        ticks=() if window is None else time_ticks(window),
        step_lane=None if window is None else step_lane(material, window),
        hosts=() if window is None else host_lanes(measured, window),
        cores=tuple(one for one in pictures[:MOST_HOSTS] if one is not None),
        resources=measured,
        usage=usage_rows(measured),
        step=step_bar(profile),
        step_rows=step_rows(material),
        histograms=step_histograms(material),
        outliers=outliers(material),
        loading=data_loading(material),
        memory=memory_rows(measured),
        operators=None if main is None else operator_tables(main.operators),
        functions=None if main is None else function_table(main.functions),
        rules=rule_rows(material),
        findings=findings(material),
    )


def render(material: Material, drawn: Drawn, compared: Comparison | None = None) -> str:
    """The page as HTML."""
    environment = page_environment("clary.jobs.profile_report")
    environment.filters.update(
        brief=lambda seconds: _together(brief(seconds)),
        size=lambda number: _together(size(number)),
        times=times,
        number=number,
        unbroken=unbroken,
    )
    values: Mapping[str, Any] = {
        "material": material,
        "drawn": drawn,
        "quantiles": [name for name, _ in QUANTILES],
        "compared": compared,
        "untold": untold_findings(material),
        "part_words": PART_WORDS,
        "phase_words": PHASE_WORDS,
    }
    return environment.get_template("profile.html").render(values)


def unbroken(text: str) -> str:
    """A sentence in which no number is parted from its unit."""
    return _BEFORE_UNIT.sub("\u00a0", text)


def _together(text: str) -> str:
    """With blanks at which no line is broken."""
    return text.replace(" ", "\u00a0")
