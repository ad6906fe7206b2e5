"""Kills at any point, between any two effects: no job is lost, run twice or in a strange state."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant
from hypothesis.stateful import rule as action

from clary.errors import DataError
from clary.formats.findings import RuleStatus
from clary.service.executors.executor import Ended, Gone
from clary.service.faults import Fault
from clary.service.requests.rule_configurations import rules_of
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.training_jobs import ACTIVE, TrainingJob
from clary.service.supervisor.rules.evaluations import evaluations_of
from clary.service.supervisor.transitions import TERMINAL, Event, advance, state_of
from tests.service.supervisor.killed_rounds import KilledRounds
from tests.service.supervisor.rules.rule_jobs import (
    EMAIL,
    STOP,
    checkers,
    custom_rule,
    profiler_rule,
    rule,
    ruled_job,
    update,
)
from tests.service.supervisor.test_transitions import check

NAMES = [f"job-{number}" for number in range(4)]
names = st.sampled_from(NAMES)
ROUNDS_TO_THE_END = 40


class Crashes(KilledRounds):
    """Jobs, their hosts and a service that is killed."""

    @initialize()
    def begin(self) -> None:
        self.ended: dict[str, TrainingJob] = {}
        self.judged: dict[int, RuleEvaluation] = {}
        self.asked: set[str] = set()
        self.open(max_jobs=2)
        self.executor.checkers.before = self.executor.checkers.after = self.pass_point

    def apply(self, name: str, event: Event) -> None:
        self.state.training_jobs.change(name, lambda job: advance(job, event, job.modified_ms + 1))

    @action(name=names, heeds=st.booleans(), ruled=st.booleans())
    def create(self, name: str, heeds: bool, ruled: bool) -> None:
        rules = (rule("stops", [*STOP, *EMAIL]), rule("quiet"), custom_rule("own"))
        profiled = [profiler_rule("ProfilerReport"), profiler_rule("steps", "StepOutlier")]
        job = ruled_job(name, *(rules if ruled else ()), profiled=profiled if ruled else ())
        if self.state.create_training_job(job, {}, evaluations_of(job)) is None:
            self.executor.hosts.pop(name, None)
            self.executor.of(name).heeds_sigterm = heeds
            self.ended.pop(name, None)
            self.asked.discard(name)
            for checker in checkers(self.settings, job):
                self.executor.checkers.processes.pop(str(checker.folder), None)

    @action(name=names)
    def stop(self, name: str) -> None:
        self.asked.add(name)
        self.apply(name, Event.STOP_ASKED)

    @action(name=names, adds=st.booleans(), disables=st.booleans())
    def update(self, name: str, adds: bool, disables: bool) -> None:
        asked: dict[str, Any] = {"ProfilerConfig": {"DisableProfiler": disables}}
        if adds:
            asked["ProfilerRuleConfigurations"] = [profiler_rule("later", "CPUBottleneck")]
        # It is told what cannot be: that a job is over, or has the rule.
        with suppress(Fault):
            update(self.state, name, **asked)

    @action(data=st.data())
    def fire(self, data: st.DataObject) -> None:
        judging = [
            (checker, one.configuration)
            for job in self.state.training_jobs.select()
            for checker in checkers(self.settings, job)
            for one in checker.rules
            if self.executor.checkers.lives(checker)
        ]
        if judging:
            checker, configuration = data.draw(st.sampled_from(judging))
            said = RuleStatus.read(checker.result(configuration))
            if said is None or said.status == "InProgress":
                self.executor.checkers.say(checker, configuration, "IssuesFound")

    @action(name=names)
    def kill_checkers(self, name: str) -> None:
        job = self.state.training_jobs.find(name)
        for checker in () if job is None else checkers(self.settings, job):
            self.executor.checkers.die(checker, "Killed")

    @action(name=names)
    def delete(self, name: str) -> None:
        self.apply(name, Event.DELETED)

    @action(name=names, good=st.booleans())
    def end(self, name: str, good: bool) -> None:
        hosts = self.executor.of(name)
        if hosts.launches and not isinstance(hosts.observation, Ended | Gone):
            self.executor.end(name, int(not good), None if good else "AlgorithmError: no")

    @action(name=names)
    def vanish(self, name: str) -> None:
        hosts = self.executor.of(name)
        if hosts.launches and not isinstance(hosts.observation, Ended | Gone):
            self.executor.vanish(name)

    @action(name=names, breaks=st.booleans())
    def break_downloads(self, name: str, breaks: bool) -> None:
        if breaks:
            self.executor.prepares[name] = DataError("no such bucket")
        else:
            self.executor.prepares.pop(name, None)

    @action(rounds=st.integers(1, 8))
    def decide(self, rounds: int) -> None:
        self.go_on(rounds)

    @action(points=st.integers(0, 12))
    def decide_until_killed(self, points: int) -> None:
        self.go_on_until_killed(rounds=3, points=points)

    @invariant()
    def every_job_is_legal_and_ran_once_at_most(self) -> None:
        for job in self.state.training_jobs.select():
            check(job)
            assert self.executor.of(job.name).launches <= 1
            self.check_end(job)
            self.check_rules(job)

    def check_rules(self, job: TrainingJob) -> None:
        told_to_stop = False
        known = [
            (one.kind, one.configuration) for one in self.state.rule_evaluations.of_job(job.number)
        ]
        rules = rules_of(job.request, job.updates)
        assert sorted(known) == sorted((one.kind, one.configuration) for one in rules)
        for one in self.state.rule_evaluations.of_job(job.number):
            if not one.open:
                before = self.judged.setdefault(one.number, one)
                assert (one.status, one.ended_ms) == (before.status, before.ended_ms)
            assert one.open or one.ended_ms is not None
            assert job.active or not one.open
            if state_of(job) in TERMINAL and one.status == "IssuesFound":
                wanted = {"stops": {0, 1}}.get(one.configuration, set())
                assert set(one.actions) == wanted
            told_to_stop = told_to_stop or one.actions.get(0) == f"stops {job.name}"
        # A stop and that it was done are stored together.
        if job.stop_asked_ms is None:
            assert not told_to_stop
        elif job.name not in self.asked:
            assert told_to_stop
        messages = [message.folder for message in self.executor.checkers.sent]
        assert len(messages) == len(set(messages))

    def check_end(self, job: TrainingJob) -> None:
        if state_of(job) not in TERMINAL:
            return
        before = self.ended.setdefault(job.name, job)
        assert job == before
        observation = self.executor.of(job.name).observation
        if job.status == "Completed":
            assert isinstance(observation, Ended)
            assert observation.exit_code == 0
        if job.status == "Stopped":
            assert job.stop_asked_ms is not None
        if job.launched and self.executor.of(job.name).launches:
            assert isinstance(observation, Ended | Gone)

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        for _ in range(ROUNDS_TO_THE_END):
            for name in NAMES:
                self.end(name, good=True)
            self.rounds.next()
        assert self.state.training_jobs.select(ACTIVE) == []
        self.every_job_is_legal_and_ran_once_at_most()
        self.close()


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
