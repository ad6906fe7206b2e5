"""Begins trials: asks the tuner what to try, and stores a training job for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from clary import clock
from clary.formats.builtin_algorithm import lane_key
from clary.gpus import count_gpus
from clary.service.state.state import State
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.rules.evaluations import evaluations_of
from clary.service.supervisor.tuning.children import new_trial, trial_request
from clary.service.supervisor.tuning.definitions import Definition
from clary.service.supervisor.tuning.observing import SeenTrial, read_parents
from clary.service.supervisor.tuning.suggesting import Suggester
from clary.service.supervisor.tuning.transitions import Event, advance
from clary.tuner.search import SpaceExhausted
from clary.tuner.trials import Trial


class Beginner:
    """Begins the trials of one tuning job.

    Owned by a tuning conductor; `begin` runs on a thread of the pool, one call at a time.
    """

    def __init__(
        self,
        state: State,
        job: TuningJob,
        definitions: Sequence[Definition],
        began: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            state: where jobs are stored.
            job: the tuning job.
            definitions: its training job definitions; each gets as many trials as the others.
            began: called for each trial that was stored.
        """
        self._state = state
        self._job = job
        self._definitions = definitions
        self._began = began
        self._suggester = Suggester()
        self._parents: dict[str | None, list[Trial]] | None = None
        self._exhausted: set[str | None] = set()

    @property
    def exhausted(self) -> bool:
        """Whether every combination has been tried or is being tried."""
        return len(self._exhausted) == len(self._definitions)

    def begin(self, seen: Sequence[SeenTrial], count: int) -> None:
        """Begin up to `count` trials.

        Args:
            seen: all trials before.
            count: how many there is room for.

        Raises:
            ClaryError: the tuner cannot make a suggestion.
            StorageError: the database cannot be read or written.
        """
        by_definition: dict[str | None, list[Trial]] = {one.name: [] for one in self._definitions}
        for one in seen:
            by_definition[one.definition].append(one.trial)
        number = len(seen) + 1
        while count > 0 and not self.exhausted:
            definition = min(
                (one for one in self._definitions if one.name not in self._exhausted),
                key=lambda one: len(by_definition[one.name]),
            )
            trials = by_definition[definition.name]
            # Each search counts its own trials.
            own = [replace(trial, number=place) for place, trial in enumerate(trials, 1)]
            try:
                parameters = self._suggester.next_parameters(
                    definition.search,
                    own,
                    self._parents_of(definition),
                    self._seconds_per_trial(definition, seen),
                )
            except SpaceExhausted:
                self._exhausted.add(definition.name)
                continue
            tuned = definition.search.space.to_text(parameters)
            if not self._store(definition, number, tuned):
                return
            trials.append(Trial(number, parameters, "running"))
            number += 1
            count -= 1

    def _seconds_per_trial(self, definition: Definition, seen: Sequence[SeenTrial]) -> float | None:
        """What a trial of a definition takes that is not cut off; None while that is not known."""
        # Of trials that share a process, those that are begun at once all wait for what is then
        # kept, such as the features of a frozen backbone.
        request = trial_request(definition.request, definition.objective, "any", {})
        config = self._job.request["HyperParameterTuningJobConfig"]
        alone = lane_key(request, count_gpus()) is None
        first = 0 if alone else int(config["ResourceLimits"]["MaxParallelTrainingJobs"])
        took = [
            one.seconds
            for one in seen
            if one.definition == definition.name
            and one.status == "Completed"
            and one.seconds is not None
            and one.trial.number > first
        ]
        return median(took) if took else None

    def _store(self, definition: Definition, number: int, tuned: dict[str, str]) -> bool:
        at_ms = clock.now_ms()
        trial = new_trial(self._job, definition, number, tuned, at_ms)

        def count(job: TuningJob) -> TuningJob | None:
            # Meanwhile it may have been stopped, or be another one of the same name.
            if job.number != self._job.number or job.trials != number - 1:
                return None
            return advance(job, Event.TRIAL_BEGUN, at_ms)

        tags = self._state.tags.of(self._job.arn)
        rules = evaluations_of(trial)
        stored = self._state.begin_trial(self._job.name, count, trial, tags, rules)
        if stored:
            self._began()
        return stored

    def _parents_of(self, definition: Definition) -> list[Trial]:
        if self._parents is None:
            alone = len(self._definitions) == 1
            self._parents = {
                one.name: read_parents(self._state, self._job.parents, one, alone=alone)
                for one in self._definitions
            }
        return self._parents[definition.name]
