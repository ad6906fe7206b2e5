"""`clary jobs`, `clary jobs list`, `clary jobs show`."""

from __future__ import annotations

from cyclopts import App
from rich.console import Console
from rich.table import Table

from clary.sdk.job_listing import JobSummary, list_jobs, summarize_job
from clary.sdk.locations import resolve_job
from clary.settings import Settings

app = App(name="jobs", help="List the trainings of this machine, or show one.")


@app.default
@app.command(name="list")
def list_() -> int:
    """List the trainings of this machine, the latest first."""
    settings = Settings.from_environment()
    jobs = list_jobs(settings)
    if not jobs:
        print(f"No jobs in {settings.jobs_dir} yet: `clary train photos/` starts one.")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job", overflow="fold")
    for name in ("status", "model"):
        table.add_column(name)
    for name in ("epochs", "best valid accuracy"):
        table.add_column(name, justify="right")
    for job in jobs:
        table.add_row(job.name, job.status, job.model_name, str(job.epochs), _accuracy(job))
    Console(highlight=False).print(table)
    return 0


@app.command
def show(job: str = "latest", /) -> int:
    """Show one training.

    Args:
        job: A job's name, its folder, or latest.
    """
    summary = summarize_job(resolve_job(job, Settings.from_environment()))
    rows = {
        "job": summary.name,
        "status": summary.status,
        "why": summary.failure_reason,
        "data": summary.data,
        "model": summary.model_name,
        "started": summary.created,
        "epochs": str(summary.epochs),
        "accuracy": f"{_accuracy(summary)} (best epoch, validation)" if summary.epochs else None,
        "folder": str(summary.directory),
        "archive": str(summary.model) if summary.model else None,
    }
    for name, value in rows.items():
        if value is not None:
            print(f"{name:<9} {value}")
    return 0


def _accuracy(job: JobSummary) -> str:
    return "" if job.best_valid_accuracy is None else f"{job.best_valid_accuracy:.4f}"
