"""What `clary tune` says at the end of a tuning job: the best trial, and what to type with it."""

from __future__ import annotations

from rich.console import Console

from clary.cli.trial_table import duration, short_value
from clary.endings import EXIT_INTERRUPTED
from clary.formats.tuning_record import TuningRecord
from clary.sdk.processes import job_program_output
from clary.sdk.tuning_job import TuningJob
from clary.sdk.tuning_recording import record_folder, record_tuning
from clary.sdk.tuning_resume import NumberedTrial
from clary.sdk.tuning_snapshot import TuningSnapshot
from clary.settings import Settings


def print_end(job: TuningJob, moment: TuningSnapshot, settings: Settings, *, report: bool) -> int:
    """Write the record and the report of a tuning job that has ended, and say what has come of it.

    Args:
        job: the tuning job.
        moment: how it stood at its end.
        settings: whose home gets record and report.
        report: whether there shall be one.

    Returns:
        The exit code.

    Raises:
        StorageError: the home cannot be written.
        ServiceError: the service does not answer.
    """
    record = record_tuning(job, settings)
    page = None
    if report and moment.best is not None:
        folder = str(record_folder(job.name, settings))
        code, text = job_program_output("tuning_report", [folder])
        page = text.strip() if code == 0 else "it could not be written"
    return print_summary(moment, record, page)


def print_summary(moment: TuningSnapshot, record: TuningRecord, page: str | None) -> int:
    """Say what has come of a tuning job.

    Args:
        moment: how it stood at its end.
        record: what was recorded of it.
        page: where the report lies; None where there is none.

    Returns:
        The exit code.
    """
    _print_outcome(moment, record.importances)
    if moment.best is not None:
        if page is not None:
            print(f"report    {page}")
        _print_model(moment, moment.best, record)
    return _print_status(moment, record)


def _print_model(moment: TuningSnapshot, best: NumberedTrial, record: TuningRecord) -> None:
    kept = moment.best_completed
    if kept is not best:
        print(f"          trial {best.number} was stopped before its end and has left no model")
    if kept is not None:
        of = "" if kept is best else f"  (trial {kept.number}: {kept.trial.objective:.4f})"
        print(f"model     clary predict {kept.trial.name} PICTURE…{of}")
    if record.command:
        print(f"train     {record.command}")
    if record.pictures_changed_at is not None:
        print(
            f"the pictures changed before trial {record.pictures_changed_at}: trials before and "
            "after it cannot be compared"
        )


def _print_status(moment: TuningSnapshot, record: TuningRecord) -> int:
    name = moment.found.name
    took = duration(moment.found.seconds)
    status = moment.found.status
    if status == "Completed":
        print(f"{name} is done in {took}. {record.completion or ''}".rstrip(), flush=True)
        if moment.best is not None:
            return 0
        _print_common_reason(moment)
        return 1
    if status == "Stopped":
        print(f"{name} stopped after {took}")
        print(f"Go on with it: clary tune --resume {name}", flush=True)
        return EXIT_INTERRUPTED
    if status == "Failed":
        print(f"{name} failed after {took}: {moment.found.failure_reason}", flush=True)
        _print_common_reason(moment)
    else:
        # Such as a tuning job that somebody deletes: its end was not seen.
        print(f"{name} is {status} after {took}", flush=True)
    return 1


def _print_common_reason(moment: TuningSnapshot) -> None:
    """Say why all trials failed, where they did for the same reason, or where to read it."""
    failed = [one.trial for one in moment.trials if one.trial.status == "Failed"]
    if not failed:
        return
    reasons = {" ".join((trial.failure_reason or "").split()) for trial in failed}
    if len(reasons) == 1 and "" not in reasons:
        (reason,) = reasons
        alike = "The trial failed" if len(failed) == 1 else "All that failed did so alike"
        print(f"{alike}: {reason}", flush=True)
    else:
        print(f"`clary jobs logs {failed[0].name}` says why the first one failed", flush=True)


def _print_outcome(moment: TuningSnapshot, importances: dict[str, float]) -> None:
    """Say which trial was the best, what its hyperparameters are, and which of them mattered."""
    best = moment.best
    console = Console(highlight=False, soft_wrap=True)
    if best is None or best.trial.objective is None:
        console.print(f"no trial of {moment.found.name} has an objective", markup=False)
        if moment.trials:
            failed = [one for one in moment.trials if one.trial.status == "Failed"]
            name = (failed or moment.trials)[0].trial.name
            console.print(f"log       clary jobs logs {name}", markup=False)
        return
    of = f" of {len(moment.trials)}" if len(moment.trials) > 1 else ""
    objective = moment.found.objective
    console.print(
        f"\nbest      trial {best.number}{of}: {objective} {best.trial.objective:.4f}",
        style="bold",
        markup=False,
    )
    values = {name: short_value(text) for name, text in best.trial.values.items()}
    width = max(map(len, values), default=0)
    room = max(map(len, values.values()), default=0)
    for name in sorted(values, key=lambda name: -importances.get(name, 0.0)):
        share = importances.get(name)
        mattered = "" if share is None else f"   {share:4.0%} of what made the difference"
        console.print(f"          {name:<{width}}  {values[name]:>{room}}{mattered}", markup=False)
    if moment.as_good > 1:
        apart = ": --objective valid_loss would tell them apart"
        hint = apart if objective == "valid_accuracy" else ", and this was the first"
        console.print(
            f"          {moment.as_good} trials are as good{hint}",
            markup=False,
        )
