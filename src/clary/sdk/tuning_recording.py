"""A tuning job as a record that outlives it, for the report: `clary.formats.tuning_record`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from clary.errors import FormatError, UsageError
from clary.formats import tuning_record
from clary.formats.builtin_algorithm import names_image
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import ModelDescription
from clary.formats.tuning_record import TUNING_FILE, Objective, TrialRecord, TuningRecord
from clary.sdk.objective_search import find_metric
from clary.sdk.picture_tuning import tuned_on
from clary.sdk.session import Session
from clary.sdk.training_command import training_command
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_description import TERMINAL, TrialDescription, TuningDescription
from clary.sdk.tuning_job import TuningJob
from clary.sdk.tuning_resume import NumberedTrial, all_trials, was_stopped_early
from clary.settings import Settings
from clary.tuner.best import best
from clary.tuner.completion import Criteria, completion
from clary.tuner.importances import importances
from clary.tuner.ranges import CategoricalRange, IntegerRange, Range
from clary.tuner.trials import Trial

_READERS = 4
# Hyperparameters of the built-in algorithm that make no difference to a model.
_HOUSEKEEPING = ("skip_check", "no_report")


def record_tuning(job: TuningJob, settings: Settings) -> TuningRecord:
    """Write what a tuning job and those it goes on from have found, and return it.

    Args:
        job: one that has ended, or one that runs, as it stands.
        settings: whose home gets the record: see `record_folder`.

    Raises:
        UsageError: there is no such tuning job.
        StorageError: the home cannot be written.
        ServiceError: the service does not answer.
    """
    record = describe_tuning(job)
    record.write(record_folder(job.name, settings))
    return record


def record_folder(name: str, settings: Settings) -> Path:
    """Where the record and the report of a tuning job lie."""
    return settings.tuning_dir / name


def find_record(text: str, settings: Settings) -> Path | None:
    """The folder with the record of a tuning job that has ended; None where there is none.

    Args:
        text: the tuning job's name, or the folder itself.
        settings: whose home is searched.

    Raises:
        FormatError: the record is damaged, or of a later version.
    """
    for folder in (Path(text).expanduser().absolute(), record_folder(text, settings)):
        if (folder / TUNING_FILE).is_file() and TuningRecord.read(folder).status in TERMINAL:
            return folder
    return None


def describe_tuning(job: TuningJob) -> TuningRecord:
    """What a tuning job and those it goes on from have found.

    Raises:
        UsageError: there is no such tuning job.
        ServiceError: the service does not answer.
    """
    found = job.description()
    numbered = all_trials(job, found)
    with ThreadPoolExecutor(_READERS) as readers:
        trials = list(readers.map(partial(_trial, job, found), numbered))
    known = [_as_trial(trial) for trial in trials]
    winner = best(known, found.direction)
    data = tuned_on(found)
    own = [one for one in (t.as_trial(found.space) for t in job.trials()) if one is not None]
    return TuningRecord(
        name=found.name,
        status=found.status,  # type: ignore[arg-type]
        objective=Objective(name=found.objective, direction=found.direction),
        strategy=found.strategy,
        ranges=tuple(_range(tuned) for tuned in found.space.ranges),
        trials=tuple(trials),
        best=winner.number if winner else None,
        importances=importances(found.space, found.direction, known),
        created=found.created,
        seconds=_seconds(numbered),
        max_trials=_most(found, len(numbered) - len(own)),
        max_parallel=found.max_parallel,
        early_stopping=found.stops_early,
        completion=_completion(found, own),
        parents=found.parents,
        fixed=_fixed(found),
        data=data,
        command=_command(found, data, numbered, winner),
    )


def _trial(job: TuningJob, found: TuningDescription, numbered: NumberedTrial) -> TrialRecord:
    trial = numbered.trial
    pattern = found.curve_pattern
    lines = TrainingJob(job.session, trial.name).lines()
    curve = [match.value for match in find_metric(lines, pattern)] if pattern else []
    return TrialRecord(
        number=numbered.number,
        job=trial.name,
        status=trial.status,  # type: ignore[arg-type]
        parameters=_parameters(found, trial),
        value=trial.objective,
        curve=tuple(curve),
        started=trial.started,
        seconds=trial.seconds,
        early_stopped=was_stopped_early(job.session, found, trial),
        failure=trial.failure_reason,
        pictures=_pictures(job.session, trial),
    )


def _pictures(session: Session, trial: TrialDescription) -> str | None:
    """What stands for the pictures of a trial of this machine, as its model tells it."""
    if session.settings is None:
        return None
    directory = JobDirectory(session.settings.jobs_dir / trial.name)
    try:
        told = ModelDescription.read(directory.model).provenance
    except FormatError:
        return None  # it has left no model, or a script has left another one
    if "data_fingerprint" not in told:
        return None
    counts = (f"{split}={count}" for split, count in dict(told.get("pictures") or {}).items())
    return " ".join([str(told["data_fingerprint"])[:16], *counts])


def _parameters(found: TuningDescription, trial: TrialDescription) -> dict[str, int | float | str]:
    """The tuned values; those of another definition than the first one stay text."""
    seen = trial.as_trial(found.space)
    return dict(trial.values) if seen is None else dict(seen.parameters)


def _as_trial(record: TrialRecord) -> Trial:
    if record.status in {"InProgress", "Stopping"}:
        return Trial(record.number, record.parameters, "running")
    if record.value is None:
        return Trial(record.number, record.parameters, "failed")
    return Trial(record.number, record.parameters, "succeeded", record.value)


def _range(tuned: Range) -> tuning_record.ParameterRange:
    if isinstance(tuned, CategoricalRange):
        return tuning_record.CategoricalRange(name=tuned.name, values=tuned.values)
    if isinstance(tuned, IntegerRange):
        return tuning_record.IntegerRange(
            name=tuned.name, low=tuned.low, high=tuned.high, scaling=tuned.scaling
        )
    return tuning_record.ContinuousRange(
        name=tuned.name, low=tuned.low, high=tuned.high, scaling=tuned.scaling
    )


def _seconds(numbered: Sequence[NumberedTrial]) -> float | None:
    starts = [one.trial.started for one in numbered if one.trial.started is not None]
    ends = [one.trial.ended_at for one in numbered if one.trial.ended_at is not None]
    return max(0.0, (max(ends) - min(starts)).total_seconds()) if starts and ends else None


def _most(found: TuningDescription, parents: int) -> int | None:
    return None if found.max_trials is None else found.max_trials + parents


def _completion(found: TuningDescription, own: Sequence[Trial]) -> str | None:
    """Why it ended, by its own criteria."""
    if found.failure_reason:
        return found.failure_reason
    if found.status in {"Stopping", "Stopped"}:
        return "It was stopped by request."
    if not found.ended:
        return None
    criteria = Criteria(
        found.max_trials,
        found.max_seconds,
        found.target,
        found.max_not_improving,
        found.stops_on_convergence,
    )
    exhausted = found.space.size is not None and len(own) >= found.space.size
    over = completion(criteria, found.direction, own, found.seconds, exhausted)
    return over.message if over else None


def _fixed(found: TuningDescription) -> dict[str, str]:
    """What all trials share, without what only says how they are run."""
    hidden = _HOUSEKEEPING if _is_builtin(found) else ()
    return {
        name: text
        for name, text in found.fixed.items()
        if name not in hidden and not name.startswith(("_tuning_", "sagemaker_"))
    }


def _is_builtin(found: TuningDescription) -> bool:
    return names_image(str(found.definition["AlgorithmSpecification"].get("TrainingImage", "")))


def _command(
    found: TuningDescription,
    data: str | None,
    numbered: Sequence[NumberedTrial],
    winner: Trial | None,
) -> str | None:
    """The line that trains with the best values; None where `clary train` cannot do it."""
    if winner is None or data is None or not _is_builtin(found):
        return None
    trial = next(one.trial for one in numbered if one.number == winner.number)
    try:
        return training_command(data, {**found.fixed, **trial.values})
    except UsageError:
        return None  # made with options of a later version
