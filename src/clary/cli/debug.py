"""`clary debug`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import boto3
from cyclopts import Parameter
from rich.console import Console

from clary.cli.debug_screen import Screen, Wanted, compose
from clary.cli.debug_view import DebugView
from clary.cli.parser import Switch
from clary.cli.watching import RECONNECTIONS, Watch, counting_stops
from clary.errors import ServiceUnreachable, UsageError
from clary.formats.tensor_curves import STATISTICS
from clary.sdk.job_debugging import DebugMoment, Watched, WatchedPrefix, watch_folder, watch_job
from clary.sdk.job_listing import has_had_jobs, named_or_latest
from clary.sdk.locations import LATEST, no_such_job
from clary.sdk.processes import run_job_program
from clary.sdk.session import Session
from clary.settings import Settings

SEVERAL = Parameter(negative=())
_LOOK_SECONDS = 0.2


def debug(
    job: str = LATEST,
    /,
    *,
    follow: Annotated[Switch, Parameter(name=("--follow", "-f"))] = False,
    tensor: Annotated[list[str] | None, SEVERAL] = None,
    statistic: str = "l2",
    rule: Annotated[list[str] | None, SEVERAL] = None,
    names: Switch = False,
    tensorboard: Path | None = None,
    aws: Switch = False,
) -> int:
    """Show why a training goes wrong: what rules found, and how losses and tensors developed.

    Args:
        job: A job's name, or latest; a job's folder, or one that a hook wrote to; or an S3 URI
            of tensors, read with the keys of the environment.
        follow: Go on until the job and its rules have ended, or until Ctrl-C, which leaves the
            job running. A folder ends with its hook; one whose script was killed never does.
        tensor: Draw this tensor in place of the losses: a name, or a regular expression. Can be
            given several times.
        statistic: What is drawn of a tensor: l2, l1, mean, std, min, max, abs_mean, abs_max,
            zeros, nans, infs or update, which is how much it changes.
        rule: Show this rule alone. Can be given several times.
        names: List the tensors that were saved.
        tensorboard: Write event files for TensorBoard into this folder, and nothing else.
        aws: The job is one of AWS, in the account of the environment.

    Returns:
        0 when no rule has found anything, 1 when one has.

    Raises:
        UsageError: there is no such job, tensor, rule or statistic, nothing was saved in the
            folder, or options exclude each other.
        DataError: there is no such folder.
        ServiceError: the service cannot be started or does not answer.
    """
    if statistic not in STATISTICS:
        known = ", ".join(STATISTICS)
        raise UsageError(f"--statistic is {statistic!r} but must be one of {known}")
    if tensorboard is not None:
        shown = {"--follow": follow, "--tensor": tensor, "--rule": rule, "--names": names}
        for option in (option for option, given in shown.items() if given):
            raise UsageError(f"--tensorboard writes files alone: leave out {option}")
    wanted = Wanted(job, tuple(tensor or ()), statistic, tuple(rule or ()), names=names)
    wanted.check()
    session, watched = _find(job, aws=aws)
    view = DebugView(Console(highlight=False))
    with watched:
        if follow:
            with counting_stops() as asked:
                return _follow(view, lambda: _look(watched, wanted), session, asked)
        moment = watched.moment()
        if moment.empty:
            raise UsageError(
                f"{job} holds neither a job nor tensors: give a job's name, or a folder that a "
                "hook has written to"
            )
        if tensorboard is not None:
            return _write_event_files(moment, tensorboard)
        wanted.require(moment)
        screen = compose(moment, wanted)
        view.show(screen)
        return screen.exit_code


def _look(watched: Watched, wanted: Wanted) -> Screen:
    moment = watched.moment()
    wanted.require_by_now(moment)
    return compose(moment, wanted)


def _write_event_files(moment: DebugMoment, folder: Path) -> int:
    if moment.place is None:
        raise UsageError(f"nothing was watched of {moment.name}: `clary train --debug` watches")
    return run_job_program("event_files", [moment.place, str(folder)])


def _follow(
    view: DebugView, look: Callable[[], Screen], session: Session | None, asked: list[int]
) -> int:
    reconnections = 0
    with view:
        while True:
            watch = Watch(look)
            try:
                while not watch.over.is_set() and not asked:
                    view.update(watch.found)
                    watch.over.wait(_LOOK_SECONDS)
                if not asked:
                    view.update(watch.result())
                break
            except ServiceUnreachable:
                if session is None or reconnections == RECONNECTIONS:
                    raise
            finally:
                watch.over.set()
            reconnections += 1
            session.reconnect()
    return view.end()


def _find(job: str, *, aws: bool) -> tuple[Session | None, Watched]:
    if job.startswith("s3://"):
        session = Session(boto3.Session())
        return session, WatchedPrefix(session, job)
    if aws:
        session = Session(boto3.Session())
        return session, watch_job(session, job)
    folder = Path(job).expanduser()
    if "/" in job or (job != LATEST and folder.is_dir()):
        return None, watch_folder(folder)
    settings = Settings.from_environment()
    if not has_had_jobs(settings):
        raise UsageError(no_such_job(job, settings))
    session = Session.on_this_machine(settings)
    return session, watch_job(session, named_or_latest(session, job))
