"""`clary tune`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from clary.cli.following_trials import follow_trials
from clary.cli.parser import Switch
from clary.cli.training_parameters import given_options, with_training_options
from clary.cli.tuning_end import print_end
from clary.cli.watching import counting_stops
from clary.endings import EXIT_INTERRUPTED
from clary.errors import UsageError
from clary.sdk.data_checking import check_pictures
from clary.sdk.job_listing import has_had_jobs
from clary.sdk.network_checking import NetworkCheck
from clary.sdk.picture_tuning import (
    ObjectiveName,
    PictureTuning,
    TuningPlan,
    check_counts,
    check_name,
    seconds_of,
)
from clary.sdk.session import Session
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs
from clary.sdk.tuning_resume import earlier_trials, resume_tuning
from clary.settings import Settings

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
    strategy: Annotated[Word | None, Parameter(group=SEARCH)] = None,
    parallel: Annotated[int | None, Parameter(group=SEARCH)] = None,
    time_limit: Annotated[str | None, Parameter(group=SEARCH)] = None,
    objective: Annotated[ObjectiveName | None, Parameter(group=SEARCH)] = None,
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
        strategy: How combinations are chosen: bayesian, the default, learns from earlier trials,
            hyperband also stops those that fall behind, grid tries all of some listed values.
        parallel: Trials at once; 4 by default.
        time_limit: End the search after a time such as 10m or 1h30m.
        objective: What a trial is judged by, valid_accuracy by default: that of the epoch whose
            weights it keeps.
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
        ModelError: there is no such network, or its weights cannot be had.
        StorageError: the record cannot be written.
        ServiceError: the service cannot be started, or refuses the job.
    """
    settings, given = Settings.from_environment(), given_options(options)
    limits = {"trials": trials, "parallel": parallel, "time_limit": time_limit, "name": name}
    search = {"space": space, "strategy": strategy, "objective": objective, "target": target}
    search["early_stopping"] = early_stopping or None
    start: Callable[[], TuningJob]
    if attach is not None or resume is not None:
        beside = {**given, **search, "skip_check": skip_check or None}
        _refuse_besides(data, beside, both=attach is not None and resume is not None)
    if attach is not None:
        _refuse_with_attach({**limits, "detach": detach or None})
        start = partial(_attached, attach, settings)
    elif resume is not None:
        start = _resuming(resume, settings, limits)
    else:
        plan = _plan(search, limits)
        prepared = _prepared(data, given, plan, settings, skip_check=skip_check)
        start = partial(_started, prepared, _session(settings))
    # From here on there is a job that Ctrl-C must not leave behind without a word.
    with counting_stops() as asked:
        job = start()
        if detach:
            return _left(job, asked)
        return print_end(job, follow_trials(job, asked), settings, report=not no_report)


def _plan(search: Options, limits: Options) -> TuningPlan:
    words = {name: value for name, value in {**search, **limits}.items() if value is not None}
    if "strategy" in words:
        words["strategy"] = words["strategy"].capitalize()
    return TuningPlan(**words)


def _left(job: TuningJob, asked: list[int]) -> int:
    if asked:
        job.stop()
        print(f"{job.name} is stopping", flush=True)
        return EXIT_INTERRUPTED
    print(f"`clary tune --attach {job.name}` shows it")
    return 0


def _attached(named: list[str], settings: Settings) -> TuningJob:
    name = _named(named, settings)
    job = TuningJob(_session(settings), name)
    job.description()
    return job


def _resuming(named: list[str], settings: Settings, limits: Options) -> Callable[[], TuningJob]:
    trials, parallel, name = limits["trials"], limits["parallel"], limits["name"]
    check_counts(trials, parallel)
    check_name(name)
    seconds = None if limits["time_limit"] is None else seconds_of(limits["time_limit"])
    words = {"trials": trials, "parallel": parallel, "seconds": seconds, "name": name}
    earlier = _named(named, settings)
    return partial(_resumed, _session(settings), earlier, **words)


def _resumed(session: Session, earlier: str, **words: Any) -> TuningJob:
    job = resume_tuning(session, earlier, **words)
    found = job.description()
    known, more = len(earlier_trials(job, found)), found.max_trials
    print(f"Going on with {earlier} as {job.name}: {known} trials are known", end="")
    print("" if more is None else f", {more} to come", flush=True)
    return job


def _prepared(
    data: str | None, given: Options, plan: TuningPlan, settings: Settings, *, skip_check: bool
) -> PictureTuning:
    if data is None:
        raise UsageError(
            "`clary tune` needs the folder of your pictures, as in `clary tune photos/`; "
            "`clary tune digits` tries it without any"
        )
    prepared = PictureTuning.prepare(data, given, settings, plan)
    with NetworkCheck(prepared.space, given) as networks:
        checked = check_pictures(prepared.training.location, given, look=not skip_check)
        learned = sum(checked.counts.get("train", {}).values())
        judged = sum(checked.counts.get("valid", {}).values())
        prepared = prepared.on(pictures=learned, judged=judged)
        networks.require()
    print(
        f"{checked.pictures} pictures of {len(checked.classes)} classes: {learned} to train "
        f"on, {judged} to judge by"
    )
    warnings = sum(finding.severity == "warning" for finding in checked.findings)
    if warnings:
        plural = "" if warnings == 1 else "s"
        print(f"{warnings} warning{plural} about them: `clary check {shlex.quote(data)}` tells")
    return prepared


def _started(prepared: PictureTuning, session: Session) -> TuningJob:
    job = prepared.start(session)
    tuned = ", ".join(prepared.space.names)
    print(f"Tuning {job.name}: {tuned} in {prepared.trials} trials", flush=True)
    return job


def _refuse_besides(data: str | None, beside: Options, *, both: bool) -> None:
    if both:
        raise UsageError("--resume starts a tuning job and --attach shows one: give one of them")
    said = [*_options(beside), *([data] if data is not None else [])]
    if said:
        raise UsageError(
            f"a tuning job that exists has its data, options and ranges already: leave out "
            f"{', '.join(said)}, or start a new one"
        )


def _refuse_with_attach(limits: Options) -> None:
    said = _options(limits)
    if said:
        raise UsageError(
            f"--attach only shows a tuning job: leave out {', '.join(said)}, or use --resume"
        )


def _options(values: Options) -> list[str]:
    """Those that were given, as they are typed."""
    return [f"--{name.replace('_', '-')}" for name, value in values.items() if value is not None]


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
