"""`clary tune`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from cyclopts import Group, Parameter

from clary.cli.following_trials import follow_trials, print_outcome
from clary.cli.parser import Switch
from clary.cli.training_parameters import given_options, with_training_options
from clary.cli.trial_table import duration
from clary.endings import EXIT_INTERRUPTED
from clary.errors import UsageError
from clary.sdk.data_checking import check_pictures
from clary.sdk.job_listing import has_had_jobs
from clary.sdk.picture_tuning import (
    DEFAULT_PARALLEL,
    ObjectiveName,
    PictureTuning,
    TuningPlan,
    check_counts,
    check_name,
    seconds_of,
)
from clary.sdk.processes import job_program_output
from clary.sdk.session import Session
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs
from clary.sdk.tuning_recording import record_folder, record_tuning
from clary.sdk.tuning_resume import earlier_trials, resume_tuning
from clary.sdk.tuning_snapshot import TuningSnapshot
from clary.settings import Settings
from clary.tuner.search import Strategy

Options = Mapping[str, Any]
Word = Literal["bayesian", "random", "grid", "hyperband"]
SEARCH = Group("The search", sort_key=0)
JOB = Group("The tuning job", sort_key=0)
RANGES = Parameter(group=SEARCH, consume_multiple=True, negative=())
NAMED = Parameter(group=JOB, consume_multiple=(0, 1), negative=())


@with_training_options()
def tune(
    data: str | None = None,
    /,
    *,
    trials: Annotated[int | None, Parameter(group=SEARCH)] = None,
    space: Annotated[list[str] | None, RANGES] = None,
    strategy: Annotated[Word, Parameter(group=SEARCH)] = "bayesian",
    parallel: Annotated[int | None, Parameter(group=SEARCH)] = None,
    time_limit: Annotated[str | None, Parameter(group=SEARCH)] = None,
    objective: Annotated[ObjectiveName, Parameter(group=SEARCH)] = "valid_accuracy",
    target: Annotated[float | None, Parameter(group=SEARCH, allow_leading_hyphen=True)] = None,
    early_stopping: Annotated[Switch, Parameter(group=SEARCH)] = False,
    name: Annotated[str | None, Parameter(group=JOB)] = None,
    resume: Annotated[list[str] | None, NAMED] = None,
    attach: Annotated[list[str] | None, NAMED] = None,
    detach: Annotated[Switch, Parameter(group=JOB)] = False,
    skip_check: Annotated[Switch, Parameter(group=JOB)] = False,
    no_report: Annotated[Switch, Parameter(group=JOB)] = False,
    **options: str | bool | None,
) -> int:
    """Find better hyperparameters: many trainings, each learning from those before it.

    Options of `clary train` hold for all trials; `--space` says what to vary, otherwise a space
    that fits is chosen. Ctrl-C stops the search and keeps what is known; closing a terminal does
    not stop it.

    Args:
        data: A folder of pictures, or whatever else `clary train` takes.
        trials: How many trainings; 20 by default, a grid has as many as it has combinations.
        space: Ranges, such as lr=1e-4..1e-1:log epochs=5..20 batch_size=32,64,128; the scales are
            auto, linear, log and reverse-log.
        strategy: How combinations are chosen: bayesian learns from earlier trials, hyperband also
            stops those that fall behind, grid tries all of some listed values.
        parallel: Trials at once; 4 by default.
        time_limit: End the search after a time such as 10m or 1h30m.
        objective: What a trial is judged by: that of the epoch whose weights it keeps.
        target: End the search when a trial reaches this objective.
        early_stopping: Stop trials that fall behind the median of the others.
        name: The tuning job's name; made of the data's name and the time by default.
        resume: Go on with a tuning job, given by name, as a new one that knows its trials; without
            a value, the latest. --trials counts both together.
        attach: Show a tuning job that runs or has ended; without a value, the latest.
        detach: Return at once; the search goes on in the background.
        skip_check: Do not look at the pictures before the first trial.
        no_report: Do not write the report afterwards.

    Raises:
        UsageError: an option or a range cannot be used, or the job cannot be made or resumed.
        DataError: there is no such data, or training on it would go wrong.
        StorageError: the record cannot be written.
        ServiceError: the service cannot be started, or refuses the job.
    """
    settings = Settings.from_environment()
    given = given_options(options)
    if attach is not None or resume is not None:
        _refuse_besides(data, given, space, attach is not None and resume is not None)
    if attach is not None:
        job = _attached(attach, settings)
    elif resume is not None:
        seconds = None if time_limit is None else seconds_of(time_limit)
        job = _resumed(
            resume, settings, trials=trials, parallel=parallel, seconds=seconds, name=name
        )
    else:
        plan = TuningPlan(
            space=space or (),
            trials=trials,
            strategy=cast("Strategy", strategy.capitalize()),
            parallel=DEFAULT_PARALLEL if parallel is None else parallel,
            objective=objective,
            early_stopping=early_stopping,
            target=target,
            time_limit=time_limit,
            name=name,
        )
        job = _started(data, given, plan, settings, skip_check=skip_check)
    if detach:
        print(f"`clary tune --attach {job.name}` shows it")
        return 0
    return _end(job, follow_trials(job), settings, report=not no_report)


def _attached(named: list[str], settings: Settings) -> TuningJob:
    job = TuningJob(_session(settings), _named(named, settings))
    job.description()
    return job


def _resumed(
    named: list[str],
    settings: Settings,
    *,
    trials: int | None,
    parallel: int | None,
    seconds: int | None,
    name: str | None,
) -> TuningJob:
    check_counts(trials, parallel)
    check_name(name)
    earlier = _named(named, settings)
    limits = {"trials": trials, "parallel": parallel, "seconds": seconds}
    job = resume_tuning(_session(settings), earlier, **limits, name=name)
    found = job.description()
    known, more = len(earlier_trials(job, found)), found.max_trials
    print(f"Going on with {earlier} as {job.name}: {known} trials are known", end="")
    print("" if more is None else f", {more} to come", flush=True)
    return job


def _started(
    data: str | None, given: Options, plan: TuningPlan, settings: Settings, *, skip_check: bool
) -> TuningJob:
    if data is None:
        raise UsageError(
            "`clary tune` needs the folder of your pictures, as in `clary tune photos/`; "
            "`clary tune digits` tries it without any"
        )
    prepared = PictureTuning.prepare(data, given, settings, plan)
    if not skip_check:
        checked = check_pictures(prepared.training.location, given)
        learned = sum(checked.counts.get("train", {}).values())
        judged = sum(checked.counts.get("valid", {}).values())
        prepared = prepared.on(pictures=learned)
        print(
            f"{checked.pictures} pictures of {len(checked.classes)} classes: {learned} to train "
            f"on, {judged} to judge by"
        )
        warnings = sum(finding.severity == "warning" for finding in checked.findings)
        if warnings:
            plural = "" if warnings == 1 else "s"
            print(f"{warnings} warning{plural} about them: `clary check {data}` tells")
    job = prepared.start(Session.on_this_machine(settings))
    tuned = ", ".join(prepared.space.names)
    print(f"Tuning {job.name}: {tuned} in {prepared.trials} trials", flush=True)
    return job


def _refuse_besides(data: str | None, given: Options, space: list[str] | None, both: bool) -> None:
    if both:
        raise UsageError("--resume starts a tuning job and --attach shows one: give one of them")
    said = [f"--{name.replace('_', '-')}" for name in given]
    said += ["--space"] if space else []
    said += [data] if data is not None else []
    if said:
        raise UsageError(
            f"a tuning job that exists has its data, options and ranges already: leave out "
            f"{', '.join(said)}, or start a new one"
        )


def _session(settings: Settings) -> Session:
    return Session.on_this_machine(settings)


def _named(given: list[str], settings: Settings) -> str:
    """The name that was given, or the latest."""
    if not has_had_jobs(settings):
        raise UsageError(_no_job(settings))
    if given and given[0] != "latest":
        return given[0]
    for name in list_tuning_jobs(_session(settings)):
        return name
    raise UsageError(_no_job(settings))


def _no_job(settings: Settings) -> str:
    return f"there is no tuning job in {settings.home} yet: `clary tune photos/` starts one"


def _end(job: TuningJob, moment: TuningSnapshot, settings: Settings, *, report: bool) -> int:
    record = record_tuning(job, settings)
    print_outcome(moment, record.importances)
    folder = record_folder(job.name, settings)
    if moment.best is not None:
        if report:
            code, page = job_program_output("tuning_report", [str(folder)])
            print(f"report    {page.strip()}" if code == 0 else "report    it could not be written")
        print(f"model     clary predict {moment.best.trial.name} PICTURE…")
        if record.command:
            print(f"train     {record.command}")
    took = duration(moment.found.seconds)
    status = moment.found.status
    if status == "Stopped":
        print(f"{job.name} stopped after {took}")
        print(f"Go on with it: clary tune --resume {job.name}", flush=True)
        return EXIT_INTERRUPTED
    if status == "Failed":
        print(f"{job.name} failed after {took}: {moment.found.failure_reason}", flush=True)
        return 1
    print(f"{job.name} is done in {took}. {record.completion or ''}".rstrip(), flush=True)
    return 0 if moment.best is not None else 1
