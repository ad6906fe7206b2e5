"""`clary tune`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, cast

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
    DEFAULT_PARALLEL,
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
    settings = Settings.from_environment()
    given = given_options(options)
    if attach is not None or resume is not None:
        verbs = (("--resume", resume is not None), ("--attach", attach is not None))
        beside = {
            "--space": space is not None,
            "--strategy": strategy is not None,
            "--objective": objective is not None,
            "--target": target is not None,
            "--early-stopping": early_stopping,
            "--skip-check": skip_check,
        }
        limits = {
            "--trials": trials is not None,
            "--parallel": parallel is not None,
            "--time-limit": time_limit is not None,
            "--name": name is not None,
            "--detach": detach,
        }
        _refuse_besides(data, given, [verb for verb, said in verbs if said], beside, limits)
    if attach is not None:
        job = _attached(attach, settings)
        with counting_stops() as asked:
            return _shown_to_its_end(job, settings, asked, report=not no_report)
    start: Callable[[], TuningJob]
    if resume is not None:
        check_counts(trials, parallel)
        check_name(name)
        seconds = None if time_limit is None else seconds_of(time_limit)
        earlier = _named(resume, settings)
        session = _session(settings)
        start = partial(
            _resumed, session, earlier, trials=trials, parallel=parallel, seconds=seconds, name=name
        )
    else:
        plan = TuningPlan(
            space=space,
            trials=trials,
            strategy=cast("Strategy", (strategy or "bayesian").capitalize()),
            parallel=DEFAULT_PARALLEL if parallel is None else parallel,
            objective=objective or "valid_accuracy",
            early_stopping=early_stopping,
            target=target,
            time_limit=time_limit,
            name=name,
        )
        prepared = _prepared(data, given, plan, settings, skip_check=skip_check)
        start = partial(_started, prepared, _session(settings))
    # From here on there is a job that Ctrl-C must not leave behind without a word.
    with counting_stops() as asked:
        job = start()
        if detach:
            return _left(job, asked)
        return _shown_to_its_end(job, settings, asked, report=not no_report)


def _shown_to_its_end(job: TuningJob, settings: Settings, asked: list[int], *, report: bool) -> int:
    return print_end(job, follow_trials(job, asked), settings, report=report)


def _left(job: TuningJob, asked: list[int]) -> int:
    if asked:
        job.stop()
        print(f"{job.name} is stopping", flush=True)
        return EXIT_INTERRUPTED
    print(f"`clary tune --attach {job.name}` shows it")
    return 0


def _attached(named: list[str], settings: Settings) -> TuningJob:
    job = TuningJob(_session(settings), _named(named, settings))
    job.description()
    return job


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


def _refuse_besides(
    data: str | None,
    given: Options,
    verbs: list[str],
    beside: Mapping[str, bool],
    limits: Mapping[str, bool],
) -> None:
    if len(verbs) > 1:
        raise UsageError("--resume starts a tuning job and --attach shows one: give one of them")
    said = [f"--{name.replace('_', '-')}" for name in given]
    said += [option for option, is_said in beside.items() if is_said]
    said += [data] if data is not None else []
    if said:
        raise UsageError(
            f"a tuning job that exists has its data, options and ranges already: leave out "
            f"{', '.join(said)}, or start a new one"
        )
    said = [option for option, is_said in limits.items() if is_said]
    if said and verbs == ["--attach"]:
        raise UsageError(
            f"--attach only shows a tuning job: leave out {', '.join(said)}, or use --resume"
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
