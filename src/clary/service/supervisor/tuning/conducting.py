"""Takes one tuning job a step further: looks at its trials, begins some and stops some."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future

from clary.service.state.state import State
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor import transitions as training
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.tuning.beginning import Beginner
from clary.service.supervisor.tuning.definitions import (
    Definition,
    read_criteria,
    read_definitions,
    seed_of,
)
from clary.service.supervisor.tuning.ending import stop_trial, tell
from clary.service.supervisor.tuning.observing import SeenTrial, TrialObserver
from clary.service.supervisor.tuning.transitions import Event
from clary.tuner.completion import completion
from clary.tuner.early_stopping import stops_early
from clary.tuner.hyperband import stops_at_rung
from clary.tuner.trials import Trial

logger = logging.getLogger(__name__)


class TuningConductor:
    """What one service process knows of one tuning job besides what is stored.

    Owned by the tuning rounds; `step` is called on the supervisor's thread alone. Everything here
    may be lost: a new conductor finds it out again from the state.
    """

    def __init__(
        self,
        state: State,
        pool: Pool,
        job: TuningJob,
        *,
        timing: Timing,
        changed: Callable[[], None],
    ) -> None:
        """Take over a tuning job that searches.

        Args:
            state: where jobs are stored.
            pool: runs the tuner, which may take long.
            job: the tuning job.
            timing: how long to wait.
            changed: called after every change, from any thread.

        Raises:
            UsageError: the tuner cannot use what is asked for.
        """
        self._state = state
        self._pool = pool
        self._name = job.name
        self._timing = timing
        self._changed = changed
        config = job.request["HyperParameterTuningJobConfig"]
        definitions = read_definitions(job.request, seed_of(job))
        self._definitions = {one.name: one for one in definitions}
        self._criteria = read_criteria(job.request, definitions)
        self._direction = definitions[0].search.direction
        self._parallel = int(config["ResourceLimits"]["MaxParallelTrainingJobs"])
        self._hyperband = config["Strategy"] == "Hyperband"
        self._median_rule = config.get("TrainingJobEarlyStoppingType") == "Auto"
        self._observer = TrialObserver(
            state, job.number, definitions, curves=self._hyperband or self._median_rule
        )
        self._beginner = Beginner(state, job, definitions, changed)
        self._beginning: Future[None] | None = None
        self._judged: dict[int, int] = {}
        self._failing_since: float | None = None
        self._retry_at = 0.0

    def step(self, job: TuningJob) -> None:
        """Begin and stop trials, or say that the search is over.

        Raises:
            StorageError: the database cannot be read or written.
        """
        # Before the look: another thread begins the last combination and then says that it was.
        exhausted = self._beginner.exhausted
        seen = self._observer.look()
        active = [one for one in seen if one.active]
        if self._end(job, seen, exhausted):
            return
        for one in active:
            if self._falls_behind(one, seen):
                stop_trial(self._state, one.name, training.Event.FELL_BEHIND, self._changed)
        self._begin(job, seen, self._parallel - len(active))

    def _end(self, job: TuningJob, seen: Sequence[SeenTrial], exhausted: bool) -> bool:
        over = completion(
            self._criteria,
            self._direction,
            [one.trial for one in seen],
            time.time() - job.created_ms / 1000,
            exhausted,
        )
        if over is None:
            return False
        event = Event.GIVEN_UP if over.reason == "failures" else Event.CRITERION_MET
        return tell(self._state, self._name, self._changed, event, (over.reason, over.message))

    def _falls_behind(self, one: SeenTrial, seen: Sequence[SeenTrial]) -> bool:
        """Whether a trial is to be stopped before its end; judged once for each epoch."""
        epochs = len(one.trial.curve)
        if one.status != "InProgress" or self._judged.get(one.trial.number) == epochs:
            return False
        behind = self._is_behind(one, seen)
        self._judged[one.trial.number] = epochs
        return behind

    def _is_behind(self, one: SeenTrial, seen: Sequence[SeenTrial]) -> bool:
        definition = self._definitions[one.definition]
        others = [other for other in seen if other.definition == one.definition]
        if self._hyperband:
            if _ends_by_itself(definition, one.trial):
                return False
            return stops_at_rung(definition.search, one.trial, [other.trial for other in others])
        peers = [other.trial.curve for other in others if other.status == "Completed"]
        return self._median_rule and stops_early(one.trial.curve, peers, self._direction)

    def _begin(self, job: TuningJob, seen: Sequence[SeenTrial], room: int) -> None:
        if self._beginning is not None:
            if not self._beginning.done():
                return
            error = self._beginning.exception()
            self._beginning = None
            if error is not None:
                self._give_way(error)
                return
            self._failing_since = None
        assert self._criteria.max_trials is not None
        room = min(room, self._criteria.max_trials - len(seen))
        # What was begun since the look is looked at first.
        if (
            room > 0
            and len(seen) == job.trials
            and not self._beginner.exhausted
            and time.monotonic() >= self._retry_at
        ):
            self._beginning = self._pool.submit(self._beginner.begin, seen, room)
            self._beginning.add_done_callback(lambda _: self._changed())

    def _give_way(self, error: BaseException) -> None:
        """Try again later what may pass; a tuner that keeps failing ends the tuning job."""
        now = time.monotonic()
        self._retry_at = now + self._timing.retry_s
        if self._failing_since is None:
            self._failing_since = now
            logger.error("No trial of %s can be begun; tried again", self._name, exc_info=error)
        elif now - self._failing_since >= self._timing.unseen_s:
            reason = f"InternalServerError: no trial can be begun: {error}. `clary logs` shows why."
            tell(self._state, self._name, self._changed, Event.GIVEN_UP, ("failures", reason))


def _ends_by_itself(definition: Definition, trial: Trial) -> bool:
    """Whether a trial at Hyperband's last epoch is about to end: its model is not cut off."""
    most, own = definition.search.max_resource, definition.own_epochs
    return most is not None and own is not None and len(trial.curve) >= most >= own
