"""What rules do when they fire."""

from __future__ import annotations

from typing import Any

import pytest

from clary.formats.log_file import read_events
from clary.service.state.state import State
from clary.service.supervisor.rules.evaluations import LOG_GROUP
from clary.settings import Settings
from tests.service.supervisor.conftest import Supervise, reach, submit
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.service.supervisor.rules.rule_jobs import (
    EMAIL,
    STOP,
    checkers,
    evaluations,
    rule,
    ruled_job,
    wait_for,
)


def acted(one: Any) -> bool:
    return bool(one.actions)


def test_a_rule_stops_its_job(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r", STOP), rule("quiet", STOP))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    submit(supervisor, state, job)
    reach(supervisor, "job", "Training")
    executor.checkers.say(checker, "r", "IssuesFound", "at step 3")
    stopped = reach(supervisor, "job", "Stopped")
    assert stopped.stop_asked_ms is not None
    assert [one.message for one in stopped.transitions if one.status == "Stopping"] == [
        "Stopping the training job: the rule r has fired"
    ]
    assert stopped.message == "Training job stopped by a rule that has fired"
    assert executor.of("job").signals == ["TERM"]
    ended = evaluations(state, "job")
    assert ended["r"].actions == {0: "stops job"}
    assert (ended["quiet"].status, ended["quiet"].actions) == ("NoIssuesFound", {})
    (stream,) = state.logs.streams(LOG_GROUP, f"{ended['r'].name}/actions-")
    assert [event.message for event in read_events(stream.path)] == ["stoptraining: stops job"]


@pytest.mark.parametrize(
    ("prefix", "outcome"),
    [
        ("other", "stops other"),
        ("nobody", "no job is stopped: none whose name begins with 'nobody' is training"),
        ("", "stops job"),
    ],
)
def test_a_rule_stops_the_job_of_its_prefix(
    state: State,
    settings: Settings,
    executor: MemoryExecutor,
    supervise: Supervise,
    prefix: str,
    outcome: str,
) -> None:
    stop = [{"name": "stoptraining", "training_job_prefix": prefix}]
    job = ruled_job("job", rule("r", stop))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    submit(supervisor, state, ruled_job("other"))
    submit(supervisor, state, job)
    for name in ("job", "other"):
        reach(supervisor, name, "Training")
    executor.checkers.say(checker, "r", "IssuesFound")
    assert wait_for(state, "job", "r", acted).actions == {0: outcome}
    meant = outcome.partition(" ")[2] if outcome.startswith("stops") else None
    for name in ("job", "other"):
        executor.end(name)
        told = reach(supervisor, name, "Completed", "Stopped")
        assert told.status == ("Stopped" if name == meant else "Completed")


@pytest.mark.parametrize("action", [STOP, [{**STOP[0], "training_job_prefix": "dogs"}]])
def test_a_rule_stops_its_job_though_other_names_begin_with_its_name(
    state: State,
    settings: Settings,
    executor: MemoryExecutor,
    supervise: Supervise,
    action: list[dict[str, str]],
) -> None:
    job = ruled_job("dogs", rule("r", action))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    for each in (ruled_job("dogs-2"), job):
        submit(supervisor, state, each)
        reach(supervisor, each.name, "Training")
    executor.checkers.say(checker, "r", "IssuesFound")
    assert reach(supervisor, "dogs", "Stopped", "Failed").status == "Stopped"
    assert evaluations(state, "dogs")["r"].actions == {0: "stops dogs"}
    executor.end("dogs-2")
    assert reach(supervisor, "dogs-2", "Completed", "Stopped").status == "Completed"


def test_a_rule_whose_job_is_ending_stops_no_other_job(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.checkers.verdicts["r"] = "IssuesFound"
    supervisor = supervise()
    for each in (ruled_job("dogs-2"), ruled_job("dogs", rule("r", STOP))):
        submit(supervisor, state, each)
        reach(supervisor, each.name, "Training")
    assert supervisor.stop_job("dogs")
    reach(supervisor, "dogs", "Stopped")
    assert evaluations(state, "dogs")["r"].actions[0].startswith("no job is stopped: none")
    executor.end("dogs-2")
    assert reach(supervisor, "dogs-2", "Completed", "Stopped").status == "Completed"


def test_of_several_jobs_none_is_stopped(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("run-1", rule("r", [{"name": "stoptraining", "training_job_prefix": "run"}]))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    for each in (job, ruled_job("run-2")):
        submit(supervisor, state, each)
        reach(supervisor, each.name, "Training")
    executor.checkers.say(checker, "r", "IssuesFound")
    one = wait_for(state, "run-1", "r", acted)
    assert one.actions[0].startswith("no job is stopped: the names of run-1, run-2 begin with")
    for name in ("run-1", "run-2"):
        executor.end(name)
        assert reach(supervisor, name, "Completed", "Stopped").status == "Completed"


def test_a_job_that_has_trained_is_not_stopped_any_more(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.checkers.verdicts["r"] = "IssuesFound"
    supervisor = supervise()
    executor.end("job")
    submit(supervisor, state, ruled_job("job", rule("r", [*STOP, *EMAIL])))
    assert reach(supervisor, "job", "Completed", "Stopped").status == "Completed"
    actions = evaluations(state, "job")["r"].actions
    assert actions[0].startswith("no job is stopped: none")
    assert actions[1] == "posted to http://127.0.0.1/"


def test_people_are_told_once_and_in_full(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("r", [*EMAIL, {"name": "sms", "endpoint": "+4912345"}]))
    (checker,) = checkers(settings, job)
    supervisor = supervise()
    submit(supervisor, state, job)
    reach(supervisor, "job", "Training")
    executor.checkers.say(checker, "r", "IssuesFound", "at step 3", step=3)
    one = wait_for(state, "job", "r", lambda one: len(one.actions) == 2)
    assert set(one.actions.values()) == {"posted to http://127.0.0.1/"}
    executor.end("job")
    reach(supervisor, "job", "Completed")
    mail, text = (message.content for message in executor.checkers.sent)
    assert (mail["endpoint"], text["endpoint"]) == ("me@example.org", "+4912345")
    assert mail["subject"] == "SMDebugRule:VanishingGradient fired"
    assert mail["message"] == "at step 3"
    assert mail["training_job"] == "job"
    assert mail["findings"][0]["step"] == 3


def test_a_job_does_not_wait_for_a_message_to_arrive(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.checkers.delivers = False
    executor.checkers.verdicts["r"] = "IssuesFound"
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", rule("r", EMAIL)))
    reach(supervisor, "job", "Training")
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["r"].actions == {0: "being sent"}
    executor.checkers.delivers = True
    told = wait_for(state, "job", "r", lambda one: one.actions != {0: "being sent"})
    assert told.actions == {0: "posted to http://127.0.0.1/"}
    (stream,) = state.logs.streams(LOG_GROUP, f"{told.name}/actions-")
    said = [event.message for event in read_events(stream.path)]
    assert said == [
        "email (me@example.org): " + outcome
        for outcome in ("being sent", "posted to http://127.0.0.1/")
    ]
    assert len(executor.checkers.sent) == 1


def test_a_new_service_learns_what_became_of_a_message(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    executor.checkers.delivers = False
    executor.checkers.verdicts["r"] = "IssuesFound"
    first = supervise()
    submit(first, state, ruled_job("job", rule("r", EMAIL)))
    reach(first, "job", "Training")
    executor.end("job")
    reach(first, "job", "Completed")
    first.close()
    executor.checkers.delivers = True
    supervise()
    told = wait_for(state, "job", "r", lambda one: one.actions != {0: "being sent"})
    assert told.actions == {0: "posted to http://127.0.0.1/"}
    assert len(executor.checkers.sent) == 1
