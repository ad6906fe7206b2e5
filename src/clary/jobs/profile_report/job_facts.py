"""The job in words: when it ran, how long each part took, and what ran on what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from clary.formats.text import counted
from clary.jobs.pages.wording import duration, percent
from clary.jobs.profile_report.material import Material
from clary.profiler.wording import brief

Row = tuple[str, str]


def time_rows(material: Material) -> tuple[Row, ...]:
    """When the job and its training loop began and ended, as SageMaker's report lists it."""
    return tuple(_times(material))


def fact_rows(material: Material) -> tuple[Row, ...]:
    """What was trained, on what."""
    return tuple(_facts(material))


def _times(material: Material) -> Iterator[Row]:
    if material.started_s is None or material.ended_s is None:
        return
    broken = material.breakdown
    whole = max(broken.job_s, 1e-9)
    yield "began", _moment(material.started_s)
    yield ("ended", _moment(material.ended_s)) if material.over else ("so far", "still running")
    yield "took", duration(material.seconds)
    if not broken.loop_s:
        return
    for name, seconds in (
        ("initialization", broken.initialization_s),
        ("training loop", broken.loop_s),
        ("finalization", broken.finalization_s),
    ):
        yield name, f"{brief(seconds)}, {percent(seconds / whole)} of the job"


def _facts(material: Material) -> Iterator[Row]:
    for name, value in material.profile.job.details.items():
        if value not in (None, ""):
            yield str(name), str(value)
    facts = material.profile.facts
    if facts is None:
        return
    if facts.program:
        yield "program", facts.program
    if facts.device:
        threads = f", {counted(facts.threads, 'thread')}" if facts.threads else ""
        cores = f" of {counted(facts.cores, 'core')}" if facts.cores else ""
        yield "runs on", f"{facts.device}{threads}{cores}"
    if facts.framework:
        precision = f", {facts.precision}" if facts.precision else ""
        yield "with", f"{facts.framework}{precision}"
    if facts.batch_size:
        yield "batch size", f"{facts.batch_size:,}"
    if facts.epochs:
        steps = f" of {facts.steps_per_epoch:,} steps" if facts.steps_per_epoch else ""
        yield "epochs", f"{facts.epochs:,}{steps}"
    workers = len(material.profile.workers)
    if workers > 1:
        yield "processes", f"{workers} on {counted(len(material.profile.hosts), 'host')}"
    if facts.overhead_s > 0 and material.breakdown.loop_s:
        share = facts.overhead_s / material.breakdown.loop_s
        yield "cost of the watching", f"{percent(share, 2)} of the training loop"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"
