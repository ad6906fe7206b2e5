"""Watches the rules of a job beside its conductor, until all have said how the job is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future

from clary.errors import ClaryError
from clary.formats.rule_request import LOG_FILE
from clary.service.executors.executor import Checkers, TrainingJobSpec
from clary.service.executors.rule_configurations import Checker, RuleSpec, checkers_of
from clary.service.state.log_streams import LogStream
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State
from clary.service.supervisor.rules.acting import Actions
from clary.service.supervisor.rules.checking import CheckerConductor
from clary.service.supervisor.rules.evaluations import LOG_GROUP
from clary.service.supervisor.timing import Timing

logger = logging.getLogger(__name__)

_YOUNG_S = 60.0


class RuleWatcher:
    """Starts the checkers of a job, stores what they say, and acts on it.

    Owned by a conductor, whose thread calls the public methods; looks are taken on the pool, one
    at a time. What fails is told in the service's log and tried again; it never ends a job, and
    holds its end up for no longer than `rule_grace_s` and `rule_settle_s`.
    """

    def __init__(
        self,
        state: State,
        checkers: Checkers,
        pool: Pool,
        spec: TrainingJobSpec,
        *,
        timing: Timing,
        wake: Callable[[], None],
    ) -> None:
        self._state = state
        self._checkers = checkers
        self._pool = pool
        self._spec = spec
        self._timing = timing
        self._wake = wake
        self._conductors = [
            CheckerConductor(state, checkers, spec, checker, timing)
            for checker in checkers_of(spec.request, spec.directory.root)
        ]
        self._actions = Actions(state, checkers, spec)
        self._known: set[str] = set()
        self._work: Future[None] | None = None
        self._began_at: float | None = None
        self._due_at = float("-inf")
        self._ended_at: float | None = None
        self._told_of_end = False
        self._settled = not self._conductors
        self._trouble = ""

    def watch(self) -> None:
        """Take a look when it is time to; called from when the user's code runs."""
        now = time.monotonic()
        if self._settled or now < self._due_at or (self._work and not self._work.done()):
            return
        self._began_at = self._began_at or now
        self._due_at = now + self._pause_s(now - self._began_at)
        self._work = self._pool.submit(self._look)

    def settled(self) -> bool:
        """Whether all rules of a job whose training has ended have reported, and all is stored.

        Call it again until they have, or time is up.
        """
        if self._settled:
            return True
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
            self._due_at = now
        if self._overdue_s(now) > 2 * self._timing.rule_settle_s:
            logger.warning("The rules of %s are left behind: %s", self._spec.name, self._trouble)
            self._settled = True
        self.watch()
        return self._settled

    def abandon(self) -> None:
        """End the checkers of a job that failed while they ran."""
        for conductor in self._conductors:
            self._checkers.end(conductor.checker)

    def _pause_s(self, age_s: float) -> float:
        if self._ended_at is not None:
            return self._timing.tick_s
        return self._timing.rules_s if age_s < _YOUNG_S else self._timing.calm_rules_s

    def _overdue_s(self, now: float) -> float:
        """For how long the rules should have judged everything; negative before."""
        if self._ended_at is None:
            return float("-inf")
        return now - self._ended_at - self._timing.rule_grace_s

    def _look(self) -> None:
        ended = self._ended_at is not None
        try:
            if ended and not self._told_of_end:
                self._checkers.training_ended(self._spec)
                self._told_of_end = True
            done = self._step_all()
            if ended and done:
                self._checkers.collect(self._spec)
                self._settled = True
                self._wake()
        except Exception as error:
            self._due_at = time.monotonic() + self._timing.retry_s
            if str(error) != self._trouble:
                self._trouble = str(error)
                if isinstance(error, ClaryError):
                    logger.warning("The rules of %s: %s", self._spec.name, error)
                else:
                    logger.exception("Watching the rules of %s failed", self._spec.name)

    def _step_all(self) -> bool:
        """Take every checker a step further; whether nothing is left to wait for."""
        overdue_s = self._overdue_s(time.monotonic())
        known = self._evaluations()
        for conductor in self._conductors:
            names = [rule.configuration for rule in conductor.checker.rules]
            own = [known[name] for name in names if name in known]
            conductor.step(own, overdue_s=None if overdue_s < 0 else overdue_s)
        for checker, rule, evaluation in self._rules():
            if overdue_s >= 0:
                self._actions.give_up(evaluation, rule)
            elif self._actions.perform(evaluation, rule):
                self._wake()
            self._register_log(checker, evaluation)
        return not (
            any(self._checkers.lives(conductor.checker) for conductor in self._conductors)
            or any(one.open or Actions.missing(one, rule) for _, rule, one in self._rules())
        )

    def _rules(self) -> list[tuple[Checker, RuleSpec, RuleEvaluation]]:
        known = self._evaluations()
        return [
            (conductor.checker, rule, known[rule.configuration])
            for conductor in self._conductors
            for rule in conductor.checker.rules
            if rule.configuration in known
        ]

    def _evaluations(self) -> dict[str, RuleEvaluation]:
        """By their configurations; none where the job is gone, or another one of its name."""
        job = self._state.training_jobs.find(self._spec.name)
        if job is None or job.created_ms != self._spec.created_ms:
            return {}
        found = self._state.rule_evaluations.of_job(job.number, "debug")
        return {one.configuration: one for one in found}

    def _register_log(self, checker: Checker, evaluation: RuleEvaluation) -> None:
        path = checker.result(evaluation.configuration) / LOG_FILE
        if evaluation.name in self._known or not path.exists():
            return
        name = f"{evaluation.name}/algo-1-{evaluation.created_ms // 1000}"
        at_ms = int(time.time() * 1000)
        self._state.logs.add_stream(LogStream(LOG_GROUP, name, path, at_ms))
        self._known.add(evaluation.name)
