"""Takes the rules of one checker a step further: reads what it says, keeps its process going."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence, Set

from clary import clock
from clary.errors import ClaryError, FormatError, StorageError
from clary.formats.findings import RuleStatus
from clary.service.executors.executor import Checkers, TrainingJobSpec
from clary.service.requests.rule_configurations import Checker
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State
from clary.service.supervisor.rules.transitions import advance, began
from clary.service.supervisor.timing import Timing

logger = logging.getLogger(__name__)

# A process that dies is started again so many times.
RESTARTS = 3

_ENDING = {"Stopping", "Stopped"}
_STOPPED = "stopped by StopProcessingJob"


class CheckerConductor:
    """What one service process knows of one checker besides what is stored.

    Owned by a job's rule watcher, which calls it on one thread at a time. Everything here may be
    lost.
    """

    def __init__(
        self,
        state: State,
        checkers: Checkers,
        job: TrainingJobSpec,
        checker: Checker,
        timing: Timing,
    ) -> None:
        self.checker = checker
        self._state = state
        self._checkers = checkers
        self._job = job
        self._timing = timing
        self._retry_at = float("-inf")
        self._refusals = 0
        self._stopped: set[str] = set()

    def step(self, evaluations: Sequence[RuleEvaluation], *, overdue_s: float | None) -> None:
        """Do what the checker's state asks for.

        Args:
            evaluations: of its rules.
            overdue_s: for how long the rules should have judged everything; None while the
                training goes on or has just ended.

        Raises:
            StorageError: the database or the checker's folder cannot be written.
        """
        waiting = self._read(evaluations)
        if not waiting:
            if overdue_s is not None:
                self._checkers.end(self.checker, at_once=overdue_s > self._timing.rule_settle_s)
            return
        lives = self._checkers.lives(self.checker)
        waiting = self._stop(waiting, lives=lives)
        if not waiting:
            return
        self._tell_stopped(evaluations, {one.configuration for one in waiting})
        if lives:
            self._mark_begun(waiting)
            if overdue_s is not None:
                self._end(waiting, overdue_s)
            return
        # It may have said its last word after it was asked.
        waiting = self._read(waiting)
        if waiting:
            self._revive(waiting, may_start=overdue_s is None)

    def _read(self, evaluations: Sequence[RuleEvaluation]) -> list[RuleEvaluation]:
        """Store what the checker says of its rules; those that go on."""
        waiting = []
        for one in evaluations:
            now = self._store_status(one) if one.open else one
            if now.open:
                waiting.append(now)
        return waiting

    def _store_status(self, evaluation: RuleEvaluation) -> RuleEvaluation:
        try:
            said = RuleStatus.read(self.checker.result(evaluation.configuration))
        except FormatError as error:
            logger.warning("The status of %s cannot be read: %s", evaluation.name, error)
            return evaluation
        if said is None:
            return evaluation
        status, details = said.status, said.details
        if evaluation.status == "Stopping":
            if status == "InProgress":
                return evaluation
            if status != "Error":
                # Who has stopped it, and how far it had come.
                why = evaluation.details or _STOPPED
                status, details = "Stopped", ": ".join(filter(None, (why, details)))
        return self._tell(evaluation, status, details)

    def _stop(self, waiting: Sequence[RuleEvaluation], *, lives: bool) -> list[RuleEvaluation]:
        """Stop the rules that are to stop; those that go on, or have not heard of it yet."""
        left = []
        for one in waiting:
            if one.status != "Stopping":
                left.append(one)
                continue
            asked_s = time.time() - one.modified_ms / 1000
            if not lives or asked_s > self._timing.rule_settle_s:
                self._tell(one, "Stopped", one.details or _STOPPED)
                continue
            self._checkers.stop_rule(self.checker, one.configuration)
            if len(waiting) == 1:
                self._checkers.end(self.checker)
            left.append(one)
        return left

    def _end(self, waiting: Sequence[RuleEvaluation], overdue_s: float) -> None:
        late = overdue_s > self._timing.rule_settle_s
        self._checkers.end(self.checker, at_once=late)
        if late:
            grace_s = self._timing.rule_grace_s
            for one in waiting:
                details = f"the rule had not judged everything {grace_s:g} s after the training"
                self._tell(one, "Stopped", details)

    def _tell_stopped(self, evaluations: Sequence[RuleEvaluation], open_ones: Set[str]) -> None:
        """Let the process not judge what was stopped before it began, or while it did not hear."""
        for one in evaluations:
            name = one.configuration
            if one.status in _ENDING and name not in open_ones and name not in self._stopped:
                self._checkers.stop_rule(self.checker, name)
                self._stopped.add(name)

    def _revive(self, waiting: Sequence[RuleEvaluation], *, may_start: bool) -> None:
        if time.monotonic() < self._retry_at and may_start:
            return
        starts = self._checkers.starts(self.checker)
        if starts > RESTARTS or (starts and not may_start):
            self._fail(waiting, self._death(starts))
            return
        try:
            self._checkers.start(self._job, self.checker)
        except ClaryError as error:
            self._refusals += 1
            if not isinstance(error, StorageError) or self._refusals > RESTARTS:
                self._fail(waiting, f"ClientError: {error}")
        else:
            self._mark_begun(waiting)
        self._retry_at = time.monotonic() + self._timing.retry_s * (starts + 1)

    def _mark_begun(self, waiting: Sequence[RuleEvaluation]) -> None:
        at_ms = clock.now_ms()
        for one in waiting:
            if one.started_ms is None:
                self._state.rule_evaluations.change(one.number, lambda now: began(now, at_ms))

    def _death(self, starts: int) -> str:
        words = self._checkers.last_words(self.checker)
        times = "once" if starts == 1 else f"{starts} times"
        said = f", the last time with: {words}" if words else ""
        return f"InternalServerError: the process of the rule ended {times} without a verdict{said}"

    def _fail(self, waiting: Sequence[RuleEvaluation], reason: str) -> None:
        for one in waiting:
            self._tell(one, "Stopped" if one.status == "Stopping" else "Error", reason)

    def _tell(self, evaluation: RuleEvaluation, status: str, details: str) -> RuleEvaluation:
        at_ms = clock.now_ms()
        changed = self._state.rule_evaluations.change(
            evaluation.number, lambda now: advance(now, status, at_ms, details)
        )
        return changed or evaluation
