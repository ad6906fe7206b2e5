"""The seven stages, one after the other; what still holds is kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from clary.errors import ClaryError, Interrupted, StageFailed, UsageError
from clary.formats.files import storage_errors
from clary.formats.workflow_record import StageRecord, WorkflowRecord
from clary.sdk.workflow.checking import Check
from clary.sdk.workflow.judging import Evaluate, Report
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.predicting import Predict
from clary.sdk.workflow.serving import Deploy
from clary.sdk.workflow.stage import Listener, Run, Stage
from clary.sdk.workflow.training import Train
from clary.sdk.workflow.tuning import Tune
from clary.settings import Settings

LOCK_FILE = ".lock"
ALL_STAGES: tuple[Stage, ...] = (
    Check(),
    Tune(),
    Train(),
    Evaluate(),
    Report(),
    Deploy(),
    Predict(),
)


class Workflow:
    """A run of a plan. `run` is called once, on any thread; `stop` may be called by another one.

    Args:
        plan: what is wanted.
        settings: whose home keeps the run.
        listener: hears how it goes; nobody does when None.
        stages: what is done, in its order.
    """

    def __init__(
        self,
        plan: WorkflowPlan,
        settings: Settings,
        listener: Listener | None = None,
        stages: Sequence[Stage] = ALL_STAGES,
    ) -> None:
        self.folder = settings.runs_dir / plan.name
        record = WorkflowRecord.read(self.folder)
        if record is None:
            record = WorkflowRecord(name=plan.name, data=plan.location)
        self._run = Run(plan, settings, self.folder, record, listener or Listener())
        self._stages = stages

    @property
    def record(self) -> WorkflowRecord:
        """How far it is."""
        return self._run.record

    def run(self) -> WorkflowRecord:
        """Run the stages up to the last one that is wanted.

        Returns:
            What all of them have found.

        Raises:
            StageFailed: one cannot be done; those before it are kept.
            Interrupted: a stop was asked for; the same plan goes on from there.
            UsageError: another process runs it.
            StorageError: the home cannot be written.
        """
        run = self._run
        with _held(self._run):
            # What another process has done since it was read counts, too.
            run.record = WorkflowRecord.read(self.folder) or run.record
            if run.plan.seconds is not None:
                run.until = time.monotonic() + run.plan.seconds
            for stage in self._stages:
                if run.plan.includes(stage.name):
                    self._pass(stage)
        return run.record

    def stop(self) -> None:
        """Ask it to end: jobs are stopped, and what they have come to is kept."""
        self._run.stop.set()

    def _pass(self, stage: Stage) -> None:
        run = self._run
        if stage.name == "tune" and not run.plan.trials:
            run.listener.left_out(stage.name, "--trials is 0")
            return
        began = time.monotonic()
        run.listener.began(stage.name)
        try:
            run.require_going_on(stage.name)
            self._do(stage, began)
        except Interrupted as error:
            raise Interrupted(f"stopped in {stage.name}; the same command goes on there") from error
        except ClaryError as error:
            raise StageFailed(stage.name, error, first=stage is self._stages[0]) from error

    def _do(self, stage: Stage, began: float) -> None:
        run = self._run
        run.inputs = inputs = _digest(stage.inputs(run))
        known = run.record.of(stage.name)
        before = None if known is None else known.found
        same = known is not None and known.inputs == inputs
        done = known is not None and known.status == "done"
        if known and before and same and done and stage.holds(run, before):
            run.listener.ended(known, kept=True)
            return
        spent = known.seconds if known is not None and same and known.status == "running" else 0.0
        begun = StageRecord(
            stage=stage.name,
            status="running",
            # What was found before stays that of its own inputs until something new is noted.
            inputs=inputs if known is None or before is None else known.inputs,
            seconds=spent,
            began=datetime.now(tz=timezone.utc),
            found=before,
        )
        run.write(run.record.having(begun))
        try:
            outcome = stage.work(run, before, same=same)
        except ClaryError:
            now = run.record.of(stage.name) or begun
            seconds = spent + time.monotonic() - began
            run.write(run.record.having(now.model_copy(update={"seconds": seconds})))
            raise
        ended = StageRecord(
            stage=stage.name,
            status="done",
            inputs=inputs,
            sentence=outcome.sentence,
            seconds=spent + time.monotonic() - began,
            began=begun.began,
            found=outcome.found,
        )
        run.write(run.record.having(ended))
        run.listener.ended(ended, kept=False)


def _digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _held(run: Run) -> Iterator[None]:
    """The run's folder, for this process alone.

    Raises:
        UsageError: another process has it.
        StorageError: it cannot be made.
    """
    path = run.folder / LOCK_FILE
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"the run {run.plan.name} goes on in another terminal: wait for it, or give "
                "another --name"
            ) from error
        yield
