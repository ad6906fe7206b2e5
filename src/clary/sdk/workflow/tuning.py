"""The search for better hyperparameters, as a stage that goes on where it stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from clary.errors import Interrupted, NothingLeftToTry, ServiceError
from clary.formats.run_progress import RunProgress
from clary.formats.text import counted
from clary.formats.workflow_record import Checked, Found, StageName, Tuned
from clary.sdk.description import existing
from clary.sdk.hyperparameter_tuner import MIN_RUN_SECONDS, made_up_tuning_name
from clary.sdk.objective_search import require_objective
from clary.sdk.picture_tuning import PictureTuning
from clary.sdk.tuning_job import TuningJob
from clary.sdk.tuning_recording import record_tuning
from clary.sdk.tuning_resume import resume_tuning
from clary.sdk.tuning_snapshot import TuningSnapshot, TuningWatcher
from clary.sdk.workflow.stage import (
    Outcome,
    Progress,
    Run,
    directory_of,
    require_completed,
)

# Of what is left of the time limit; the rest is for the training.
SHARE = 0.5


class Tune:
    """A tuning job: taken up while it runs, resumed where it was stopped, and gone on with where
    more trials or more time are given than before.
    """

    name: ClassVar[StageName] = "tune"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """The pictures, and what all trials share; not their number, nor the time."""
        return {
            "pictures": run.found(Checked).fingerprint,
            "options": dict(run.plan.options),
            "space": run.plan.space,
        }

    def holds(self, run: Run, found: Found) -> bool:
        """Whether there were as many trials as are wanted and can be, or as the time allows."""
        if not isinstance(found, Tuned):
            return False
        if found.limit_s is None:
            combinations = _fitted(run).space.size
            return found.trials >= min(run.plan.trials, combinations or run.plan.trials)
        return run.plan.seconds is not None and run.plan.seconds <= found.limit_s

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Begin it, or go on with it, and wait for its end.

        Raises:
            UsageError: there are no pictures to judge trials by.
            ServiceError: it fails.
            Interrupted: a stop was asked for; what is known is kept.
        """
        earlier = before if isinstance(before, Tuned) else None
        if earlier is not None and not same:
            _abandon(run, earlier.job)
            earlier = None
        left = run.seconds_left()
        seconds = None if left is None else SHARE * left
        job = self._job(run, earlier, seconds)
        deadline = None if seconds is None else time.monotonic() + seconds
        moment, cut = self._followed(run, job, deadline)
        return _outcome(run, moment, cut=cut)

    def _job(self, run: Run, earlier: Tuned | None, seconds: float | None) -> TuningJob:
        if earlier is None:
            return self._begun(run, made_up_tuning_name(run.plan.name), seconds)
        known = _known(run, earlier.job) or _known(run, earlier.earlier)
        if known is None:
            return self._begun(run, earlier.job, seconds)
        found = run.ask(known.description)
        if not found.ended:
            return known
        if found.status == "Failed":
            return self._begun(run, made_up_tuning_name(run.plan.name), seconds)
        name = made_up_tuning_name(run.plan.name)
        run.note(Tuned(job=name, earlier=known.name))
        try:
            job = resume_tuning(
                run.session,
                known.name,
                trials=run.plan.trials,
                seconds=_limit(seconds),
                name=name,
            )
        except NothingLeftToTry:
            run.note(earlier)
            return known
        run.listener.told(self.name, f"goes on with {known.name} as {job.name}")
        return job

    def _begun(self, run: Run, name: str, seconds: float | None) -> TuningJob:
        tuning = _fitted(run, name=name, seconds=_limit(seconds))
        run.note(Tuned(job=name))
        job = tuning.start(run.session)
        tuned = ", ".join(tuning.space.names)
        run.listener.told(self.name, f"{counted(tuning.trials, 'trial')} of {tuned} as {name}")
        return job

    def _followed(
        self, run: Run, job: TuningJob, deadline: float | None
    ) -> tuple[TuningSnapshot, bool]:
        """How it stands at its end, and whether the time limit has ended it."""
        watcher = TuningWatcher(job)
        cut = False
        while True:
            moment = run.ask(watcher.snapshot)
            for ended in moment.done:
                require_objective(job, ended.trial)
            if moment.ended:
                most = moment.found.max_seconds
                timed = most is not None and moment.found.seconds >= most
                return moment, cut or timed
            run.listener.moved(self.name, _progress(run, moment))
            if deadline is not None and time.monotonic() > deadline and not cut:
                cut = True
                run.ask(job.stop)
            if run.pause(job.poll_seconds):
                run.ask(job.stop)
                run.ask(job.wait)
                raise Interrupted("stopped in tune")


def _fitted(run: Run, **given: Any) -> PictureTuning:
    """The tuning job as it fits the pictures."""
    checked = run.found(Checked)
    tuning = run.plan.tuning(run.settings, **given)
    return tuning.on(pictures=checked.train, judged=checked.valid)


def _limit(seconds: float | None) -> int | None:
    """What the service shall hold, too, should nobody wait any more: it has a least."""
    return None if seconds is None or seconds < MIN_RUN_SECONDS else math.ceil(seconds)


def _known(run: Run, name: str | None) -> TuningJob | None:
    return None if name is None else run.ask(partial(existing, TuningJob(run.session, name)))


def _abandon(run: Run, name: str) -> None:
    """Nobody wants it any more: its pictures or options were others."""
    job = _known(run, name)
    if job is not None:
        run.ask(job.stop)


def _progress(run: Run, moment: TuningSnapshot) -> Progress:
    words = []
    if moment.best is not None and moment.best.trial.objective is not None:
        words.append(f"best {moment.best.trial.objective:.4f}")
    running = [one.trial for one in moment.trials if not one.trial.ended]
    words.append(f"{len(running)} running")
    reads = (RunProgress.read(directory_of(run, trial.name)) for trial in running)
    progress = next(filter(None, reads), None)
    if progress is not None:
        words.append(progress.task)
    return Progress(" · ".join(words), len(moment.done), moment.total)


def _outcome(run: Run, moment: TuningSnapshot, *, cut: bool) -> Outcome:
    job = TuningJob(run.session, moment.found.name)
    record = run.ask(lambda: record_tuning(job, run.settings))
    best = moment.best
    ended = [one for one in moment.trials if one.trial.status in {"Completed", "Failed"}]
    limit = float(run.plan.seconds) if cut and run.plan.seconds is not None else None
    if best is None or best.trial.objective is None:
        if not cut:
            reasons = [one.trial.failure_reason for one in moment.trials]
            reason = moment.found.failure_reason or next(filter(None, reasons), None)
            require_completed("tuning job", job.name, moment.found.status, reason)
            raise ServiceError(
                f"no trial of {job.name} has an objective{f': {reason}' if reason else ''}"
            )
        found = Tuned(job=job.name, limit_s=limit)
        return Outcome("no trial has ended within its share of --time-limit", found)
    values = {name: text.strip('"') for name, text in best.trial.values.items()}
    shown = ", ".join(f"{name} {_short(text)}" for name, text in values.items())
    of = counted(len(ended), "trial")
    if cut:
        judged = sum(one.trial.objective is not None for one in moment.trials)
        of = f"{judged} of {run.plan.trials} trials, cut by --time-limit"
    sentence = f"best of {of}: {moment.found.objective} {best.trial.objective:.4f} by {shown}"
    if record.importances:
        first = next(iter(record.importances))
        sentence += f"; {first} made {record.importances[first]:.0%} of the difference"
    found = Tuned(
        job=job.name,
        parameters=values,
        objective=best.trial.objective,
        trials=len(ended),
        limit_s=limit,
    )
    return Outcome(sentence, found)


def _short(text: str) -> str:
    try:
        return f"{float(text):.3g}"
    except ValueError:
        return text
