"""Evaluations of rules in the state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from tests.service.supervisor.conftest import new_job


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.sqlite")
    yield state
    state.close()


def evaluation(job: str, position: int = 0, **changes: object) -> RuleEvaluation:
    one = RuleEvaluation(
        name=f"{job}-rule-{position}",
        arn=f"arn:{job}-rule-{position}",
        training_job=job,
        kind="debug",
        position=position,
        configuration=f"rule {position}",
        rule="Rule",
        created_ms=1,
        modified_ms=1,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def closed(one: RuleEvaluation, job: TrainingJob) -> RuleEvaluation:
    return replace(one, status="Stopped", details=f"{job.name} has ended", ended_ms=9)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    texts,
    texts,
    st.sampled_from(["debug", "profiler"]),
    st.dictionaries(st.integers(0, 20), texts, max_size=3),
    st.none() | st.integers(0, 2**40),
)
def test_an_evaluation_comes_back_as_it_was(
    state: State, configuration: str, details: str, kind: str, actions: dict[int, str], ms: int
) -> None:
    given_one = evaluation(
        "any",
        configuration=configuration,
        details=details,
        kind=kind,
        actions=actions,
        started_ms=ms,
    )
    job = new_job("any")
    assert state.create_training_job(job, {}, [given_one]) is None
    stored = state.training_jobs.find("any")
    found = state.rule_evaluations.find(given_one.name)
    assert stored is not None and found is not None
    assert found == replace(given_one, job=stored.number, number=found.number)
    assert state.rule_evaluations.of_job(stored.number) == [found]
    state.forget_training_job(stored, "group", [], "rules")
    assert state.rule_evaluations.select() == []


def test_a_job_of_a_name_that_is_taken_brings_no_rules(state: State) -> None:
    assert state.create_training_job(new_job("job"), {}, [evaluation("job")]) is None
    again = evaluation("job", 1)
    assert state.create_training_job(new_job("job"), {}, [again]) is not None
    assert [one.position for one in state.rule_evaluations.select()] == [0]


def test_an_ended_job_leaves_no_rule_open(state: State) -> None:
    for name in ("job", "other"):
        rules = [evaluation(name, place) for place in range(2)]
        state.create_training_job(new_job(name), {}, rules)
    judged = state.rule_evaluations.find("job-rule-0")
    assert judged is not None
    state.rule_evaluations.change(judged.number, lambda one: replace(one, status="IssuesFound"))
    state.change_training_job("job", lambda job: replace(job, secondary="Training"), closed)
    assert [one.status for one in state.rule_evaluations.select(("InProgress",))] == [
        "InProgress"
    ] * 3
    state.change_training_job("job", lambda job: replace(job, status="Failed"), closed)
    found = {one.name: (one.status, one.details) for one in state.rule_evaluations.select()}
    assert found == {
        "job-rule-0": ("IssuesFound", ""),
        "job-rule-1": ("Stopped", "job has ended"),
        "other-rule-0": ("InProgress", ""),
        "other-rule-1": ("InProgress", ""),
    }


def test_a_job_and_its_rules_are_updated_at_once_or_not_at_all(state: State) -> None:
    state.create_training_job(new_job("job"), {}, [evaluation("job", kind="profiler")])

    def change(job: TrainingJob) -> TrainingJob:
        return replace(job, updates={"ProfilerConfig": {"DisableProfiler": True}})

    def added(job: TrainingJob, before: TrainingJob) -> list[RuleEvaluation]:
        assert (bool(job.updates), bool(before.updates)) == (True, False)
        return [evaluation("job", 1, kind="profiler")]

    def refuse(job: TrainingJob) -> TrainingJob:
        raise ValueError(job.name)

    def refuse_rules(job: TrainingJob, before: TrainingJob) -> list[RuleEvaluation]:
        raise ValueError(job.name)

    for changing, adding in ((refuse, added), (change, refuse_rules)):
        with pytest.raises(ValueError, match="job"):
            state.update_training_job("job", changing, adding, closed)
        (only,) = state.rule_evaluations.select()
        stays = state.training_jobs.find("job")
        assert stays is not None
        assert (only.status, stays.updates) == ("InProgress", {})
    job = state.update_training_job("job", change, added, closed)
    assert job is not None
    assert job == state.training_jobs.find("job")
    found = {one.position: (one.status, one.job) for one in state.rule_evaluations.select()}
    assert found == {0: ("Stopped", job.number), 1: ("InProgress", job.number)}
    assert state.update_training_job("nobody", change, added, closed) is None


def test_one_job_is_changed_for_a_rule_and_both_are_noted(state: State) -> None:
    state.create_training_job(new_job("run-1"), {}, [evaluation("run-1")])
    rule = state.rule_evaluations.find("run-1-rule-0")
    assert rule is not None

    def stop(job: TrainingJob) -> TrainingJob | None:
        return replace(job, status="Stopping")

    def tell(one: RuleEvaluation, names: object) -> RuleEvaluation | None:
        return None if one.actions else replace(one, actions={0: str(names)})

    assert state.change_the_one("run", stop, rule.number, tell)
    noted = state.rule_evaluations.find(rule.name)
    job = state.training_jobs.find("run-1")
    assert noted is not None and job is not None
    assert (noted.actions, job.status) == ({0: "['run-1']"}, "Stopping")
    # It is noted as done: another job of the prefix is not meant any more.
    state.create_training_job(new_job("run-2"), {})
    assert not state.change_the_one("run", stop, rule.number, tell)
    other = state.training_jobs.find("run-2")
    assert other is not None
    assert other.status == "InProgress"
