"""Rules from the creation of their job to its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clary.errors import ClaryError, StorageError
from clary.formats.log_file import encode_events
from clary.service.state.state import State
from clary.service.supervisor.rules.checking import RESTARTS
from clary.service.supervisor.rules.evaluations import LOG_GROUP, evaluations_of
from clary.service.supervisor.rules.transitions import stopped
from clary.settings import Settings
from tests.service.supervisor.conftest import QUICK, Supervise, reach, submit
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.service.supervisor.rules.rule_jobs import (
    checkers,
    custom_rule,
    evaluations,
    rule,
    ruled_job,
    wait_for,
)
from tests.waiting import until


def running(one: object) -> bool:
    return getattr(one, "started_ms", None) is not None


def test_a_job_is_completed_when_its_rules_have_reported(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("first"), rule("second"), custom_rule("own"))
    built_in, own = checkers(settings, job)
    executor.checkers.verdicts["first"] = None
    supervisor = supervise()
    submit(supervisor, state, job)
    for name in ("first", "second", "own"):
        wait_for(state, "job", name, running)
    assert [executor.checkers.of(one).starts for one in (built_in, own)] == [1, 1]
    executor.end("job")
    wait_for(state, "job", "own", lambda one: one.status == "NoIssuesFound")
    assert reach(supervisor, "job", "Uploading").status == "InProgress"
    assert executor.checkers.collected == []
    executor.checkers.say(built_in, "first", "IssuesFound", "at step 3")
    executor.checkers.die(built_in)
    assert reach(supervisor, "job", "Completed").secondary == "Completed"
    assert executor.checkers.collected == ["job"]
    ended = evaluations(state, "job")
    assert {name: one.status for name, one in ended.items()} == {
        "first": "IssuesFound",
        "second": "NoIssuesFound",
        "own": "NoIssuesFound",
    }
    assert ended["first"].details == "at step 3"
    assert all(one.ended_ms is not None for one in ended.values())


@pytest.mark.parametrize(("code", "status"), [(1, "Failed"), (0, "Completed")])
def test_rules_report_of_any_job_that_ran(
    state: State,
    executor: MemoryExecutor,
    supervise: Supervise,
    code: int,
    status: str,
) -> None:
    supervisor = supervise()
    # It may have ended before anybody saw it run.
    executor.end("short", code, "AlgorithmError: no" if code else None)
    submit(supervisor, state, ruled_job("short", rule("r")))
    assert reach(supervisor, "short", "Completed", "Failed").status == status
    assert evaluations(state, "short")["r"].status == "NoIssuesFound"
    assert executor.checkers.collected == ["short"]


def test_rules_of_a_stopped_job_report(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", rule("r")))
    wait_for(state, "job", "r", running)
    assert supervisor.stop_job("job")
    assert reach(supervisor, "job", "Stopped").status == "Stopped"
    assert evaluations(state, "job")["r"].status == "NoIssuesFound"


def test_rules_of_a_job_that_never_ran_are_stopped(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.prepares["job"] = ClaryError("no such bucket")
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", rule("r")))
    reach(supervisor, "job", "Failed")
    one = evaluations(state, "job")["r"]
    assert one.status == "Stopped"
    assert one.details.startswith("the training job has failed before")


def test_a_process_that_dies_is_started_again_and_then_given_up(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r"), custom_rule("own"))
    built_in, own = checkers(settings, job)
    supervisor = supervise(replace(QUICK, retry_s=0.02))
    submit(supervisor, state, job)
    for number in range(1, RESTARTS + 2):
        until(lambda number=number: executor.checkers.of(built_in).starts == number)
        until(lambda: executor.checkers.lives(built_in))
        executor.checkers.die(built_in, "MemoryError: no memory")
    one = wait_for(state, "job", "r", lambda one: one.status == "Error")
    assert one.details.startswith("InternalServerError: the process of the rule ended 4 times")
    assert one.details.endswith("MemoryError: no memory")
    assert executor.checkers.of(built_in).starts == RESTARTS + 1
    assert executor.checkers.of(own).starts == 1
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["own"].status == "NoIssuesFound"


def test_a_verdict_that_was_written_before_the_process_died_counts(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r"))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    submit(supervisor, state, job)
    wait_for(state, "job", "r", running)
    executor.checkers.say(checker, "r", "Error", "ValueError: no")
    executor.checkers.die(checker)
    one = wait_for(state, "job", "r", lambda one: not one.open)
    assert (one.status, one.details) == ("Error", "ValueError: no")
    assert executor.checkers.of(checker).starts == 1


@pytest.mark.parametrize("heeds", [True, False])
def test_a_rule_that_does_not_report_is_stopped_in_the_end(
    state: State,
    settings: Settings,
    executor: MemoryExecutor,
    supervise: Supervise,
    heeds: bool,
) -> None:
    job = ruled_job("job", rule("r"))
    (checker,) = checkers(settings, job)
    executor.checkers.verdicts["r"] = None
    executor.checkers.heeds_sigterm = heeds
    supervisor = supervise(replace(QUICK, rule_grace_s=0.2, rule_settle_s=1.5))
    submit(supervisor, state, job)
    wait_for(state, "job", "r", running)
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["r"].status == "Stopped"
    assert executor.checkers.of(checker).signals[0] == "TERM"
    assert ("KILL" in executor.checkers.of(checker).signals) == (not heeds)


def test_a_rule_that_cannot_be_had_is_an_error_with_the_reason(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.checkers.refusal = ClaryError("there is no s3://bucket/mine.py")
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", custom_rule("own")))
    one = wait_for(state, "job", "own", lambda one: not one.open)
    assert (one.status, one.details) == ("Error", "ClientError: there is no s3://bucket/mine.py")
    executor.end("job")
    reach(supervisor, "job", "Completed")


def test_a_machine_that_lacks_something_is_asked_again(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.checkers.refusal = StorageError("the disk is full")
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", rule("r")))
    reach(supervisor, "job", "Training")
    executor.checkers.refusal = None
    wait_for(state, "job", "r", running)
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["r"].status == "NoIssuesFound"


def test_a_rule_is_stopped_alone(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r"), rule("other"), custom_rule("own"))
    built_in, own = checkers(settings, job)
    supervisor = supervise()
    submit(supervisor, state, job)
    for name in ("r", "own"):
        one = wait_for(state, "job", name, running)
        assert supervisor.stop_rule(one.name)
        assert not supervisor.stop_rule(one.name)
        wait_for(state, "job", name, lambda one: one.status == "Stopped")
    assert executor.checkers.stopped[0] == "r"
    assert executor.checkers.lives(built_in)
    assert not executor.checkers.lives(own)
    assert evaluations(state, "job")["other"].status == "InProgress"
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["other"].status == "NoIssuesFound"


def test_a_rule_that_was_stopped_before_its_process_began_is_not_judged(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r"), rule("other"))
    assert state.create_training_job(job, {}, evaluations_of(job)) is None
    told: list[list[str]] = []
    executor.checkers.before = lambda method: (
        told.append(list(executor.checkers.stopped)) if method == "start" else None
    )
    early = evaluations(state, "job")["r"]
    assert state.rule_evaluations.change(early.number, lambda one: stopped(one, 1)) is not None
    supervisor = supervise()
    wait_for(state, "job", "other", running)
    assert told == [["r"]]
    executor.end("job")
    reach(supervisor, "job", "Completed")
    ended = evaluations(state, "job")
    assert (ended["r"].status, ended["other"].status) == ("Stopped", "NoIssuesFound")


def test_a_new_service_goes_on_with_the_rules(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r"))
    (checker,) = checkers(settings, job)
    first = supervise()
    submit(first, state, job)
    wait_for(state, "job", "r", running)
    first.close()
    executor.checkers.say(checker, "r", "IssuesFound", "at step 7")
    second = supervise()
    wait_for(state, "job", "r", lambda one: one.details == "at step 7")
    executor.end("job")
    reach(second, "job", "Completed")
    assert executor.checkers.of(checker).starts == 1


def test_the_log_of_a_rule_is_a_stream(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r"))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    submit(supervisor, state, job)
    one = wait_for(state, "job", "r", running)
    (checker.result("r") / "log").write_bytes(encode_events([(1, "judging")]))
    until(lambda: bool(state.logs.streams(LOG_GROUP, f"{one.name}/algo-1-")))
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert supervisor.delete_job("job")
    until(lambda: state.training_jobs.find("job") is None)
    assert state.rule_evaluations.find(one.name) is None
    assert state.logs.streams(LOG_GROUP, one.name) == []
