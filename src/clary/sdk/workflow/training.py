"""The training with the best hyperparameters, under debugger and profiler."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from clary.errors import Interrupted
from clary.formats.builtin_algorithm import TrainingRequest
from clary.formats.finding_sentences import verdict
from clary.formats.run_progress import RunProgress
from clary.formats.text import counted
from clary.formats.training_options import TrainingOptions
from clary.formats.workflow_record import Checked, Found, StageName, Trained, Tuned
from clary.sdk.description import existing
from clary.sdk.estimator import made_up_name
from clary.sdk.picture_training import resume_training
from clary.sdk.profile_verdict import where_time_went
from clary.sdk.rule_evaluations import evaluations_of
from clary.sdk.training_job import JobDescription, TrainingJob
from clary.sdk.workflow.stage import (
    Outcome,
    Progress,
    Run,
    directory_of,
    require_completed,
)

# Of the time limit: for what follows the training.
RESERVE = 0.1


class Train:
    """A training job: taken up while it runs, resumed from its checkpoint where it was stopped.

    Where the time limit stops it, it is ended with the epochs that it has made.
    """

    name: ClassVar[StageName] = "train"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """The pictures, all options, and what is watched; not the time."""
        return {
            "pictures": run.found(Checked).fingerprint,
            "options": _options(run),
            "debug": run.plan.debug,
            "profile": run.plan.profile,
        }

    def holds(self, run: Run, found: Found) -> bool:
        """Whether the model is there, and no more time is given than when it was cut."""
        if not isinstance(found, Trained):
            return False
        directory = directory_of(run, found.job)
        if not directory.archive.is_file() or not directory.output_data.is_dir():
            return False
        limit, now = found.limit_s, run.plan.seconds
        return limit is None or (now is not None and now <= limit)

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Begin it, or go on with it, and wait for its end and for what the rules say.

        Raises:
            ServiceError: it fails.
            Interrupted: a stop was asked for; the checkpoint is kept.
        """
        earlier = before if isinstance(before, Trained) else None
        if earlier is not None and not same:
            _abandon(run, earlier.job)
            earlier = None
        found, cut = self._followed(run, self._job(run, earlier))
        wanted = _epochs_of(_options(run))
        if found.status == "Completed" and _asked_for(found) < wanted:
            # What a run has made of a training that was cut, and has not lived to tell.
            found, cut = self._followed(run, self._resumed(run, found.name, _options(run)))
        made = int(found.metrics.get("epoch", 0))
        cut = cut and found.status == "Stopped"
        if cut:
            made = min(max(1, made), wanted)
            found, _ = self._followed(run, self._finishing(run, found.name, made), limited=False)
        require_completed("training", found.name, found.status, found.failure_reason)
        return _outcome(run, found, f"{made} of {wanted} epochs" if cut else "", made)

    def _job(self, run: Run, earlier: Trained | None) -> TrainingJob:
        if earlier is None:
            return self._begun(run, made_up_name(run.plan.name))
        known = _known(run, earlier.job) or _known(run, earlier.earlier)
        if known is None:
            return self._begun(run, earlier.job)
        found = run.ask(known.description)
        if not found.ended:
            return known
        whole = found.status == "Completed" and _asked_for(found) >= _epochs_of(_options(run))
        if whole and directory_of(run, known.name).archive.is_file():
            return known
        if whole or found.checkpoints is None:
            return self._begun(run, made_up_name(run.plan.name))
        return self._resumed(run, known.name, _options(run))

    def _begun(self, run: Run, name: str) -> TrainingJob:
        prepared = run.plan.training(_options(run), run.settings, name=name)
        run.note(Trained(job=name))
        job = prepared.start(run.session)
        run.listener.told(self.name, f"{counted(_epochs_of(_options(run)), 'epoch')} as {name}")
        return job

    def _resumed(self, run: Run, earlier: str, options: Mapping[str, Any]) -> TrainingJob:
        name = made_up_name(run.plan.name)
        run.note(Trained(job=name, earlier=earlier))
        job = resume_training(
            run.session, earlier, options, run.settings, name=name, skip_check=True
        )
        run.listener.told(self.name, f"goes on from the checkpoint of {earlier} as {name}")
        return job

    def _finishing(self, run: Run, earlier: str, epochs: int) -> TrainingJob:
        """What makes a model of what has been learned: it goes on with no epoch left, or one."""
        options = {**_options(run), "epochs": epochs}
        if int(options.get("freeze_epochs", 0)) >= epochs:
            options["freeze_epochs"] = epochs - 1
        return self._resumed(run, earlier, options)

    def _followed(
        self, run: Run, job: TrainingJob, *, limited: bool = True
    ) -> tuple[JobDescription, bool]:
        """How it stands at its end, and whether the time limit has stopped it."""
        deadline = None
        if limited and run.until is not None and run.plan.seconds is not None:
            deadline = run.until - RESERVE * run.plan.seconds
        cut = False
        while True:
            found = run.ask(job.description)
            if found.ended:
                return found, cut
            run.listener.moved(self.name, _progress(run, found))
            if deadline is not None and time.monotonic() > deadline and not cut:
                cut = True
                run.ask(job.stop)
            if run.pause():
                run.ask(job.stop)
                run.ask(lambda: job.wait(poll_seconds=0.2))
                raise Interrupted("stopped in train")


def _options(run: Run) -> dict[str, Any]:
    """What was given, and what was found to be the best where it was looked for."""
    if not run.plan.trials:
        return dict(run.plan.options)
    tuned = TrainingOptions.from_hyperparameters(run.found(Tuned).parameters)
    return {**run.plan.options, **tuned.model_dump(mode="json", exclude_unset=True)}


def _epochs_of(options: Mapping[str, Any]) -> int:
    return TrainingOptions.parse(options).epochs


def _asked_for(found: JobDescription) -> int:
    """The epochs of a job: fewer than those of the run where it only ends what was cut."""
    return TrainingRequest.from_hyperparameters(found.hyperparameters).options.epochs


def _known(run: Run, name: str | None) -> TrainingJob | None:
    return None if name is None else run.ask(partial(existing, TrainingJob(run.session, name)))


def _abandon(run: Run, name: str) -> None:
    """Nobody wants it any more: its pictures or options were others."""
    job = _known(run, name)
    if job is not None and not run.ask(job.description).ended:
        run.ask(job.stop)


def _progress(run: Run, found: JobDescription) -> Progress:
    progress = RunProgress.read(directory_of(run, found.name))
    if progress is None:
        waits = found.secondary_status != "Training"
        return Progress((waits and found.message) or "the training program starts or ends")
    words = f"{progress.task} · {progress.figures}" if progress.figures else progress.task
    return Progress(words, progress.done, progress.total)


def _outcome(run: Run, found: JobDescription, cut: str, made: int) -> Outcome:
    """What a training has come to; `cut` says how far it came where the time limit stopped it."""
    accuracy = found.metrics.get("best:valid_accuracy")
    statuses = [rule.status for rule in evaluations_of(found.raw)]
    rules = verdict(statuses) if statuses else ""
    words = f"{cut}, cut by --time-limit" if cut else counted(made, "epoch")
    if accuracy is not None:
        words += f", the best with valid_accuracy {accuracy:.4f}"
    if rules:
        words += f"; {rules}"
    trained = Trained(
        job=found.name,
        epochs=made,
        valid_accuracy=accuracy,
        rules=rules,
        time=where_time_went(evaluations_of(found.raw, "profiler")) or "",
        limit_s=float(run.plan.seconds) if cut and run.plan.seconds is not None else None,
    )
    return Outcome(words, trained)
