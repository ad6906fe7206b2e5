"""Watches the rules of a job beside its conductor, until all have said how the job is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future

from clary import clock
from clary.errors import ClaryError
from clary.formats.rule_request import LOG_FILE, RuleKind
from clary.service.executors.executor import Checkers, TrainingJobSpec
from clary.service.requests.rule_configurations import Checker, RuleSpec
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
        self._conductors: tuple[CheckerConductor, ...] = ()
        self._actions = Actions(state, checkers, spec)
        self._known: set[str] = set()
        self._work: Future[None] | None = None
        self._began_at: float | None = None
        self._due_at = float("-inf")
        self._ended_at: float | None = None
        # Which job was told, and which conductors have nothing left to do: others may come.
        self._told_of_end: TrainingJobSpec | None = None
        self._settled: tuple[CheckerConductor, ...] = ()
        self._trouble = ""
        self.renew(spec)

    def renew(self, spec: TrainingJobSpec) -> None:
        """Take up rules that were added to the job."""
        self._spec = spec
        known = {conductor.checker.folder for conductor in self._conductors}
        added = [
            CheckerConductor(self._state, self._checkers, spec, checker, self._timing)
            for checker in spec.checkers
            if checker.folder not in known
        ]
        if added:
            self._conductors = (*self._conductors, *added)
            self._due_at = float("-inf")

    def watch(self) -> None:
        """Take a look when it is time to; called from when the user's code runs."""
        now = time.monotonic()
        if self._is_settled or now < self._due_at or (self._work and not self._work.done()):
            return
        self._began_at = self._began_at or now
        self._due_at = now + self._pause_s(now - self._began_at)
        self._work = self._pool.submit(self._look)

    def settled(self) -> bool:
        """Whether all rules of a job whose training has ended have reported, and all is stored.

        Call it again until they have, or time is up.
        """
        if self._is_settled:
            return True
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
            self._due_at = now
        if self._overdue_s(now) > 2 * self._timing.rule_settle_s:
            logger.warning("The rules of %s are left behind: %s", self._spec.name, self._trouble)
            self._settled = self._conductors
        self.watch()
        return self._is_settled

    def abandon(self) -> None:
        """End the checkers of a job that failed while they ran."""
        for conductor in self._conductors:
            self._checkers.end(conductor.checker)

    @property
    def _is_settled(self) -> bool:
        return self._settled == self._conductors

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
        spec, conductors = self._spec, self._conductors
        try:
            if ended and self._told_of_end is not spec:
                self._checkers.training_ended(spec)
                self._told_of_end = spec
            done = self._step_all(conductors)
            if ended and done:
                self._checkers.collect(spec)
                self._settled = conductors
                self._wake()
        except Exception as error:
            self._due_at = time.monotonic() + self._timing.retry_s
            if str(error) != self._trouble:
                self._trouble = str(error)
                if isinstance(error, ClaryError):
                    logger.warning("The rules of %s: %s", self._spec.name, error)
                else:
                    logger.exception("Watching the rules of %s failed", self._spec.name)

    def _step_all(self, conductors: Sequence[CheckerConductor]) -> bool:
        """Take every checker a step further; whether nothing is left to wait for."""
        overdue_s = self._overdue_s(time.monotonic())
        known = self._evaluations()
        for conductor in conductors:
            places = [(rule.kind, rule.position) for rule in conductor.checker.rules]
            own = [known[place] for place in places if place in known]
            conductor.step(own, overdue_s=None if overdue_s < 0 else overdue_s)
        for checker, rule, evaluation in self._rules(conductors):
            if overdue_s >= 0:
                self._actions.give_up(evaluation, rule)
            elif self._actions.perform(evaluation, rule):
                self._wake()
            self._register_log(checker, evaluation)
        return not (
            any(self._checkers.lives(conductor.checker) for conductor in conductors)
            or any(
                one.open or Actions.missing(one, rule) for _, rule, one in self._rules(conductors)
            )
        )

    def _rules(
        self, conductors: Sequence[CheckerConductor]
    ) -> list[tuple[Checker, RuleSpec, RuleEvaluation]]:
        known = self._evaluations()
        return [
            (conductor.checker, rule, known[rule.kind, rule.position])
            for conductor in conductors
            for rule in conductor.checker.rules
            if (rule.kind, rule.position) in known
        ]

    def _evaluations(self) -> dict[tuple[RuleKind, int], RuleEvaluation]:
        """By kind and place; none where the job is gone, or another one of its name."""
        job = self._state.training_jobs.find(self._spec.name)
        if job is None or job.created_ms != self._spec.created_ms:
            return {}
        found = self._state.rule_evaluations.of_job(job.number)
        return {(one.kind, one.position): one for one in found}

    def _register_log(self, checker: Checker, evaluation: RuleEvaluation) -> None:
        path = checker.result(evaluation.configuration) / LOG_FILE
        if evaluation.name in self._known or not path.exists():
            return
        name = f"{evaluation.name}/algo-1-{evaluation.created_ms // 1000}"
        at_ms = clock.now_ms()
        self._state.logs.add_stream(LogStream(LOG_GROUP, name, path, at_ms))
        self._known.add(evaluation.name)
