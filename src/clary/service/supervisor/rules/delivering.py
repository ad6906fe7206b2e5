"""Learns what became of messages that were still being sent when their jobs had ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from clary.service.executors.executor import Checkers, TrainingJobSpec
from clary.service.requests.rule_configurations import rule_of
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.rules.acting import BEING_SENT, Actions

logger = logging.getLogger(__name__)


class Deliveries:
    """Keeps jobs from waiting for slow webhooks and commands.

    Owned by the supervisor, whose thread calls `next`. It may be thrown away at any point: another
    one finds what is being sent in the state.
    """

    def __init__(
        self,
        state: State,
        checkers: Checkers,
        spec_of: Callable[[TrainingJob], TrainingJobSpec],
        *,
        period_s: float,
    ) -> None:
        self._state = state
        self._checkers = checkers
        self._spec_of = spec_of
        self._period_s = period_s
        self._active: frozenset[int] = frozenset()
        self._due_at: float | None = float("-inf")
        self._troubles: dict[int, str] = {}

    def next(self, active: Collection[int]) -> float | None:
        """Store what has become of messages; in how many seconds to ask again, None for never.

        Args:
            active: the numbers of the jobs that go on, whose own watchers ask.

        Raises:
            StorageError: the database cannot be read.
        """
        now = time.monotonic()
        ended = self._active - frozenset(active)
        self._active = frozenset(active)
        if ended:
            self._due_at = now
        if self._due_at is None:
            return None
        if now >= self._due_at:
            waiting = self._state.rule_evaluations.with_outcome(BEING_SENT)
            left = [one for one in waiting if one.job not in self._active and not self._ask(one)]
            self._due_at = now + self._period_s if left else None
        return None if self._due_at is None else max(0.0, self._due_at - now)

    def _ask(self, evaluation: RuleEvaluation) -> bool:
        """Whether nothing of a rule is being sent any more."""
        job = self._state.training_jobs.find(evaluation.training_job)
        if job is None or job.number != evaluation.job:
            return True
        rule = rule_of(job.request, job.updates, evaluation.kind, evaluation.position)
        try:
            return Actions(self._state, self._checkers, self._spec_of(job)).ask(evaluation, rule)
        except Exception as error:
            if self._troubles.get(evaluation.number) != str(error):
                self._troubles[evaluation.number] = str(error)
                logger.exception("What became of the messages of %s is unknown", evaluation.name)
            return False
