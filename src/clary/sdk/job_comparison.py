"""Jobs side by side: where they differ, and how they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clary.sdk.training_job import JobDescription


class Row(NamedTuple):
    """One line of the comparison: a value for each job, empty where there is none."""

    name: str
    values: tuple[str, ...]


def compare_jobs(jobs: Sequence[JobDescription]) -> list[Row]:
    """The status, the hyperparameters that are not the same everywhere, the time, all metrics."""
    rows = [Row("status", tuple(job.status for job in jobs))]
    for name in sorted({name for job in jobs for name in job.hyperparameters}):
        values = tuple(job.hyperparameters.get(name, "") for job in jobs)
        if len(set(values)) > 1:
            rows.append(Row(name.replace("_", "-"), values))
    seconds = tuple(str(job.raw.get("TrainingTimeInSeconds", "")) for job in jobs)
    rows.append(Row("seconds", seconds))
    for name in dict.fromkeys(name for job in jobs for name in job.metrics):
        figures = (job.metrics.get(name) for job in jobs)
        rows.append(Row(name, tuple("" if f is None else f"{f:.4g}" for f in figures)))
    return rows
