"""Kills at any point: no trial is lost, begun twice, or begun after the tuning job's end."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from clary.formats.job_directory import JobDirectory
from clary.service.executors.executor import Ended, Gone, TrainingJobSpec
from clary.service.state.training_jobs import TrainingJob
from clary.service.state.tuning_jobs import ACTIVE, TuningJob
from clary.service.supervisor.tuning.children import trial_name
from clary.service.supervisor.tuning.transitions import TERMINAL, Event, advance, state_of
from tests.service.supervisor.killed_rounds import KilledRounds
from tests.service.supervisor.tuning.conftest import (
    OBJECTIVE,
    X,
    new_tuning_job,
    training_definition,
)
from tests.service.supervisor.tuning.test_transitions import check

NAMES = ["first", "second"]
names = st.sampled_from(NAMES)
ROUNDS_TO_THE_END = 60

KINDS = {"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}]}
SEVERAL = [
    training_definition(DefinitionName="x", TuningObjective=OBJECTIVE, HyperParameterRanges=X),
    training_definition(
        DefinitionName="kind", TuningObjective=OBJECTIVE, HyperParameterRanges=KINDS
    ),
]
SHAPES: dict[str, dict[str, Any]] = {
    "random": {},
    "grid": {"Strategy": "Grid", "ParameterRanges": KINDS},
    "fewer combinations than trials": {"trials": 9, "ParameterRanges": KINDS},
    "several": {"trials": 6, "definitions": SEVERAL},
    "target": {"trials": 9, "TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.2}},
    "many": {"trials": 8, "parallel": 4},
    "median rule": {"trials": 8, "parallel": 3, "TrainingJobEarlyStoppingType": "Auto"},
    "hyperband": {
        "trials": 8,
        "parallel": 3,
        "Strategy": "Hyperband",
        "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 4}},
    },
}


class TuningCrashes(KilledRounds):
    """Tuning jobs, their trials and a service that is killed."""

    @initialize()
    def begin(self) -> None:
        self.ended: dict[int, TuningJob] = {}
        self.known: dict[tuple[int, int], tuple[str, Any]] = {}
        self.open(max_jobs=3)

    @rule(name=names, shape=st.sampled_from(sorted(SHAPES)))
    def create(self, name: str, shape: str) -> None:
        self.state.create_tuning_job(new_tuning_job(name, **SHAPES[shape]), {"shape": shape})

    @rule(name=names)
    def stop(self, name: str) -> None:
        self.state.tuning_jobs.change(
            name, lambda job: advance(job, Event.STOP_ASKED, job.modified_ms + 1)
        )

    @rule(name=names)
    def forget(self, name: str) -> None:
        self.state.forget_tuning_job(name, lambda job: not job.active)

    @rule(data=st.data(), code=st.sampled_from([0, 0, 0, 1]), value=st.none() | st.floats(0, 1))
    def end_one(self, data: st.DataObject, code: int, value: float | None) -> None:
        running = [job for job in self.jobs() if self.runs(job)]
        if running:
            self.end(data.draw(st.sampled_from(running)), code, value)

    @rule(values=st.lists(st.floats(0, 1), min_size=1, max_size=5))
    def emit(self, values: list[float]) -> None:
        for job in self.jobs():
            if self.runs(job):
                for value in values:
                    self.log(job, value)

    @rule(rounds=st.integers(1, 6))
    def decide(self, rounds: int) -> None:
        self.go_on(rounds)

    @rule(points=st.integers(0, 25))
    def kill(self, points: int) -> None:
        self.go_on_until_killed(rounds=4, points=points)

    def jobs(self) -> list[TrainingJob]:
        return self.state.training_jobs.select()

    def runs(self, job: TrainingJob) -> bool:
        hosts = self.executor.of(job.name)
        return bool(hosts.launches) and not isinstance(hosts.observation, Ended | Gone)

    def end(self, job: TrainingJob, code: int, value: float | None) -> None:
        if value is not None:
            self.log(job, value)
        self.executor.end(job.name, code, "AlgorithmError: no" if code else None)

    def log(self, job: TrainingJob, value: float) -> None:
        directory = JobDirectory(self.settings.jobs_dir / job.name)
        spec = TrainingJobSpec(job.name, job.arn, job.request, directory, {})
        self.executor.write_log(spec, (int(time.time() * 1000), f"loss={value:f}"))

    @invariant()
    def every_trial_is_the_only_one_of_its_number(self) -> None:
        for job in self.state.tuning_jobs.select():
            check(job)
            trials = self.state.training_jobs.trials_of(job.number)
            limits = job.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
            numbers = [trial.trial.number for trial in trials if trial.trial is not None]
            assert numbers == list(range(1, job.trials + 1))
            assert job.trials <= limits["MaxNumberOfTrainingJobs"]
            active = [trial for trial in trials if trial.active]
            assert len(active) <= limits["MaxParallelTrainingJobs"]
            for trial in trials:
                assert trial.trial is not None
                assert trial.name == trial_name(job, trial.trial.number)
                assert self.executor.of(trial.name).launches <= 1
                # What was chosen for a trial stays, whoever is killed.
                chosen = (trial.name, dict(trial.trial.tuned))
                assert self.known.setdefault((job.number, trial.trial.number), chosen) == chosen
            if state_of(job) in TERMINAL:
                assert not active
                assert self.ended.setdefault(job.number, job) == job

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        for _ in range(ROUNDS_TO_THE_END):
            for job in self.jobs():
                if self.runs(job):
                    self.end(job, 0, 0.5)
            self.rounds.next()
        assert self.state.tuning_jobs.select(ACTIVE) == []
        self.every_trial_is_the_only_one_of_its_number()
        self.close()


TestTuningCrashes = TuningCrashes.TestCase
TestTuningCrashes.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
