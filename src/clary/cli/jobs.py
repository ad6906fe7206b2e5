"""`clary jobs`: list, show, logs, metrics, stop, delete, compare."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from clary.cli.parser import Switch
from clary.errors import ServiceError, ServiceUnreachable, UsageError
from clary.formats.finding_sentences import verdict
from clary.sdk.description import existing
from clary.sdk.job_comparison import compare_jobs
from clary.sdk.job_listing import has_had_jobs, list_jobs, model_name, named_or_latest
from clary.sdk.locations import LATEST, no_such_job
from clary.sdk.objective_search import LAST_LINES, find_metric, require_pattern
from clary.sdk.picture_training import trained_on
from clary.sdk.profile_verdict import where_time_went
from clary.sdk.rule_evaluations import evaluations_of
from clary.sdk.session import Session
from clary.sdk.training_job import JobDescription, TrainingJob
from clary.sdk.tuning_job import TuningJob
from clary.settings import Settings

app = App(name="jobs", help="List, show, follow, stop and compare trainings.")


@app.default
@app.command(name="list")
def list_() -> int:
    """List the trainings of this machine, the latest first.

    Raises:
        ServiceError: the service cannot be started or does not answer.
    """
    settings = Settings.from_environment()
    found = list(list_jobs(Session.on_this_machine(settings))) if has_had_jobs(settings) else []
    if not found:
        print(f"No jobs in {settings.jobs_dir} yet: `clary train photos/` starts one.")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job", overflow="fold")
    for name in ("status", "model"):
        table.add_column(name)
    for name in ("epochs", "best valid accuracy"):
        table.add_column(name, justify="right")
    for job in found:
        table.add_row(job.name, job.status, model_name(job), _epochs(job), _accuracy(job))
    Console(highlight=False).print(table)
    return 0


@app.command
def show(job: str = LATEST, /) -> int:
    """Show one training.

    Args:
        job: A job's name, or latest.

    Raises:
        UsageError: there is no such job.
        ServiceError: the service cannot be started or does not answer.
    """
    settings = Settings.from_environment()
    found = _job(job, settings).description()
    directory = settings.jobs_dir / found.name
    accuracy = _accuracy(found)
    rules = evaluations_of(found.raw)
    rows = {
        "job": found.name,
        "status": found.status,
        "step": found.secondary_status if found.secondary_status != found.status else None,
        "about": found.message if not found.ended else None,
        "why": found.failure_reason,
        "data": trained_on(found),
        "model": model_name(found),
        "created": f"{found.created.astimezone():%Y-%m-%d %H:%M:%S}",
        "seconds": str(found.raw.get("TrainingTimeInSeconds", "")),
        "epochs": _epochs(found),
        "rules": verdict([rule.status for rule in rules]) if rules else None,
        "time": where_time_went(evaluations_of(found.raw, "profiler")),
        "accuracy": f"{accuracy} (best epoch, validation)" if accuracy else None,
        "folder": str(directory) if directory.exists() else None,
        "artifacts": found.model_artifacts,
    }
    for name, value in rows.items():
        if value:
            print(f"{name:<9} {value}")
    return 0


@app.command
def logs(
    job: str = LATEST,
    /,
    *,
    follow: Annotated[Switch, Parameter(name=("--follow", "-f"))] = False,
    lines: Annotated[int | None, Parameter(name=("--lines", "-n"))] = None,
) -> int:
    """Show what a training has said.

    Args:
        job: A job's name, or latest.
        follow: Go on with what comes until the job has ended; Ctrl-C leaves it running.
        lines: How many of the last lines to begin with; all by default.

    Raises:
        UsageError: there is no such job, or the number of lines is negative.
        ServiceError: the service cannot be started or does not answer.
    """
    named = _job(job, Settings.from_environment())
    several = named.description().hosts > 1
    try:
        for line in named.lines(follow=follow, last=lines):
            print(f"{line.host}: {line.message}" if several else line.message, flush=follow)
    except ServiceUnreachable as error:
        raise ServiceError(
            f"{error}; the job goes on, and `clary jobs logs --follow {named.name}` shows it"
        ) from error
    return 0


@app.command
def metrics(job: str = LATEST, /, *, regex: str | None = None) -> int:
    """Show the last values of a training's metrics, or try an expression on its log.

    Args:
        job: A job's name, or latest.
        regex: A regular expression whose first group is the number: the lines in which it finds
            one are listed, each with the number, as the service would find them.

    Raises:
        UsageError: there is no such job, or the expression cannot be used.
        ServiceError: the service cannot be started or does not answer.
    """
    if regex is not None:
        require_pattern(regex)
    named = _job(job, Settings.from_environment())
    return _show_metrics(named) if regex is None else _try_expression(named, regex)


@app.command
def stop(*jobs: str) -> int:
    """Stop trainings and tuning jobs; what they have learned is kept, and `clary train --resume` or
    `clary tune --resume` goes on with it.

    Args:
        jobs: Names, or latest.

    Raises:
        UsageError: there is no such job, or none is named.
        ServiceError: the service cannot be started or does not answer.
    """
    for job in _jobs(jobs, "stop"):
        named = existing(TuningJob(job.session, job.name)) or job
        ended = named.description().ended
        if not ended:
            named.stop()
        print(f"{named.name} has ended already" if ended else f"{named.name} is stopping")
    return 0


@app.command
def delete(*jobs: str) -> int:
    """Forget trainings that have ended, and remove their folders; models in S3 stay.

    Args:
        jobs: Names, or latest.

    Raises:
        UsageError: there is no such job, or none is named.
        ServiceError: a job still runs, or the service does not answer.
    """
    for named in _jobs(jobs, "delete"):
        named.delete()
        print(f"{named.name} is deleted")
    return 0


@app.command
def compare(*jobs: str) -> int:
    """Put trainings side by side: the options in which they differ, and how they did.

    Args:
        jobs: Names, or latest.

    Raises:
        UsageError: there is no such job, or fewer than two are named.
        ServiceError: the service cannot be started or does not answer.
    """
    if len(jobs) < 2:
        raise UsageError("`clary jobs compare` needs two jobs or more: see `clary jobs`")
    found = [named.description() for named in _jobs(jobs, "compare")]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for job in found:
        table.add_column(job.name, overflow="fold", justify="right")
    for row in compare_jobs(found):
        table.add_row(row.name, *row.values)
    Console(highlight=False).print(table)
    return 0


def _show_metrics(job: TrainingJob) -> int:
    found = job.description()
    if not found.metrics:
        when = "" if found.ended else " yet"
        print(f"{job.name} has no metrics{when}: `clary jobs logs {job.name}` shows what it says")
        return 0
    width = max(map(len, found.metrics))
    for name, value in found.metrics.items():
        print(f"{name:<{width}}  {value:g}")
    return 0


def _try_expression(job: TrainingJob, pattern: str) -> int:
    """List what an expression finds; exit code 1 when it finds nothing."""
    lines = list(job.lines())
    matches = list(find_metric(lines, pattern))
    console = Console(highlight=False, soft_wrap=True)
    for match in matches:
        console.print(f"{match.value:<12g} {match.line.message}", markup=False)
    if matches:
        console.print(
            f"{len(matches)} of {len(lines)} lines; the last value is {matches[-1].value:g}"
        )
        return 0
    console.print(f"none of {len(lines)} lines; the last are", markup=False)
    for line in lines[-LAST_LINES:]:
        console.print(f"  | {line.message}", markup=False)
    return 1


def _jobs(names: tuple[str, ...], verb: str) -> list[TrainingJob]:
    if not names:
        raise UsageError(f"`clary jobs {verb}` needs the name of a job: see `clary jobs`")
    settings = Settings.from_environment()
    return [_job(name, settings) for name in names]


def _job(name: str, settings: Settings) -> TrainingJob:
    if not has_had_jobs(settings):
        raise UsageError(no_such_job(name, settings))
    session = Session.on_this_machine(settings)
    return TrainingJob(session, named_or_latest(session, name))


def _epochs(job: JobDescription) -> str:
    epoch = job.metrics.get("epoch")
    return "" if epoch is None else f"{epoch:.0f}"


def _accuracy(job: JobDescription) -> str:
    accuracy = job.metrics.get("best:valid_accuracy")
    return "" if accuracy is None else f"{accuracy:.4f}"
