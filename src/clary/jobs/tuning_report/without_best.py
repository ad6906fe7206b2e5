"""The verdict on a tuning job none of whose trials has a value."""

from __future__ import annotations

from clary.formats.text import counted
from clary.jobs.pages.verdict import Advice, Verdict
from clary.jobs.tuning_report.findings import Findings
from clary.jobs.tuning_report.sentences import (
    ending,
    first_failure,
    sentence_count,
)


def without_best(findings: Findings) -> Verdict:
    """Say why no trial has come to a value: failures before all else, for they have a cause."""
    record = findings.record
    if not record.trials:
        return Verdict("No trial has begun", ending(record), ())
    if findings.running:
        return Verdict(
            "No trial has ended with a value yet",
            (f"{sentence_count(len(findings.running))} still running.",),
            (),
        )
    if findings.failed:
        return _all_failed(findings)
    if findings.silent:
        return _all_silent(findings)
    count = len(findings.stopped)
    return Verdict(
        "Stopped before any trial had a value",
        (
            f"{counted(count, 'trial was', 'trials were')} stopped before an epoch had ended.",
            *ending(record),
        ),
        (
            Advice(
                "Go on searching",
                "A new tuning job makes the trials that are left.",
                f"clary tune --resume {record.name}",
            ),
        ),
    )


def _all_failed(findings: Findings) -> Verdict:
    alone = len(findings.record.trials) == 1
    all_of_them = len(findings.failed) == len(findings.record.trials)
    headline = "The only trial failed" if alone else "No trial has succeeded"
    return Verdict(
        "All trials failed" if all_of_them and not alone else headline,
        (first_failure(findings), *ending(findings.record)),
        (
            Advice(
                "Look at what the first one said",
                "Where all trials fail alike, the cause is rarely a hyperparameter.",
                f"clary jobs logs {findings.failed[0].job}",
            ),
        ),
    )


def _all_silent(findings: Findings) -> Verdict:
    job = findings.silent[0].job
    metric = findings.objective.name
    return Verdict(
        f"No trial said its {findings.objective.readable}",
        (
            f"The log of {job} has no line from which {metric} could be read.",
            *ending(findings.record),
        ),
        (
            Advice(
                "Test the regular expression of the metric",
                "The first shows what was said, the second what an expression finds in it.",
                f"clary jobs logs {job}\nclary jobs metrics {job} --regex '{metric}=([0-9.]+)'",
            ),
        ),
    )
