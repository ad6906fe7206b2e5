"""Rules of the profiler: beside the debugger's, added while their job runs, and turned off."""

from __future__ import annotations

from clary.service.requests.updates import is_profiled
from clary.service.state.state import State
from clary.service.supervisor.rules.evaluations import evaluations_of
from clary.settings import Settings
from tests.service.supervisor.conftest import Supervise, reach, submit
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.service.supervisor.rules.rule_jobs import (
    checkers,
    evaluations,
    profiler_rule,
    rule,
    ruled_job,
    update,
    wait_for,
)
from tests.waiting import until

REPORT = profiler_rule("ProfilerReport")
STEPS = profiler_rule("steps", "StepOutlier")
LATER = profiler_rule("later", "CPUBottleneck")


def begun(one: object) -> bool:
    return getattr(one, "started_ms", None) is not None


def kinds(state: State, name: str) -> dict[str, tuple[str, int]]:
    return {key: (one.kind, one.position) for key, one in evaluations(state, name).items()}


def test_each_kind_has_a_process_and_the_job_waits_for_both(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", rule("debug"), profiled=[REPORT, STEPS])
    debug, profiler = checkers(settings, job)
    executor.checkers.verdicts["steps"] = None
    supervisor = supervise()
    submit(supervisor, state, job)
    for name in ("debug", "ProfilerReport", "steps"):
        wait_for(state, "job", name, begun)
    assert kinds(state, "job") == {
        "debug": ("debug", 0),
        "ProfilerReport": ("profiler", 0),
        "steps": ("profiler", 1),
    }
    assert [executor.checkers.of(one).starts for one in (debug, profiler)] == [1, 1]
    executor.end("job")
    wait_for(state, "job", "debug", lambda one: one.status == "NoIssuesFound")
    assert reach(supervisor, "job", "Uploading").status == "InProgress"
    executor.checkers.say(profiler, "steps", "IssuesFound", "12 long steps")
    executor.checkers.die(profiler)
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["steps"].details == "12 long steps"


def test_a_rule_that_comes_late_is_judged_like_the_others(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job"))
    reach(supervisor, "job", "Training")
    assert update(state, "job", ProfilerRuleConfigurations=[REPORT]) is not None
    assert update(state, "job", ProfilerRuleConfigurations=[LATER]) is not None
    supervisor.submit("job")
    for name in ("ProfilerReport", "later"):
        wait_for(state, "job", name, begun)
    assert kinds(state, "job") == {"ProfilerReport": ("profiler", 0), "later": ("profiler", 1)}
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert [one.status for one in evaluations(state, "job").values()] == ["NoIssuesFound"] * 2
    assert executor.checkers.collected == ["job"]


def test_a_rule_that_comes_when_the_training_is_over_looks_back(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", profiled=[REPORT])
    executor.checkers.verdicts["ProfilerReport"] = None
    supervisor = supervise()
    submit(supervisor, state, job)
    wait_for(state, "job", "ProfilerReport", begun)
    executor.end("job")
    reach(supervisor, "job", "Uploading")
    assert update(state, "job", ProfilerRuleConfigurations=[LATER]) is not None
    supervisor.submit("job")
    wait_for(state, "job", "later", lambda one: one.status == "NoIssuesFound")
    assert reach(supervisor, "job", "Uploading").status == "InProgress"
    (checker,) = checkers(settings, job)
    executor.checkers.say(checker, "ProfilerReport", "NoIssuesFound")
    executor.checkers.die(checker)
    reach(supervisor, "job", "Completed")


def test_a_new_service_finds_what_was_added(
    state: State, settings: Settings, executor: MemoryExecutor, supervise: Supervise
) -> None:
    first = supervise()
    submit(first, state, ruled_job("job", profiled=[REPORT]))
    wait_for(state, "job", "ProfilerReport", begun)
    first.close()
    interval = {"ProfilingIntervalInMilliseconds": 1000}
    job = update(state, "job", ProfilerRuleConfigurations=[LATER], ProfilerConfig=interval)
    assert job is not None
    second = supervise()
    wait_for(state, "job", "later", begun)
    until(lambda: bool(executor.configured))
    assert executor.configured[-1]["ProfilerConfig"] == {
        "S3OutputPath": "s3://bucket/profile",
        **interval,
    }
    executor.end("job")
    reach(second, "job", "Completed")
    starts = [executor.checkers.of(one).starts for one in checkers(settings, job)]
    assert starts == [1, 1]


def test_rules_are_turned_off_with_the_profiler_and_the_debugger_s_go_on(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", rule("debug"), profiled=[REPORT, STEPS]))
    for name in ("debug", "ProfilerReport", "steps"):
        wait_for(state, "job", name, begun)
    assert update(state, "job", ProfilerConfig={"DisableProfiler": True}) is not None
    supervisor.submit("job")
    for name in ("ProfilerReport", "steps"):
        wait_for(state, "job", name, lambda one: one.status == "Stopped")
    until(lambda: bool(executor.configured) and not is_profiled(executor.configured[-1]))
    assert evaluations(state, "job")["debug"].status == "InProgress"
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["debug"].status == "NoIssuesFound"


def test_hosts_that_cannot_be_told_are_told_again(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    failures = 2

    def fail(method: str) -> None:
        nonlocal failures
        if method == "configure" and failures:
            failures -= 1
            raise OSError("the disk is full")

    executor.before = fail
    supervisor = supervise()
    submit(supervisor, state, ruled_job("job", profiled=[REPORT]))
    reach(supervisor, "job", "Training")
    assert update(state, "job", ProfilerConfig={"DisableProfiler": True}) is not None
    until(lambda: bool(executor.configured))
    assert failures == 0
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert len(executor.configured) == 1


def test_a_job_that_waits_is_prepared_with_what_was_changed(
    state: State, executor: MemoryExecutor, supervise: Supervise
) -> None:
    job = ruled_job("job", profiled=[REPORT])
    assert state.create_training_job(job, {}, evaluations_of(job)) is None
    assert update(state, "job", ProfilerConfig={"DisableProfiler": True}) is not None
    supervisor = supervise()
    reach(supervisor, "job", "Training")
    (prepared,) = executor.prepared
    assert not is_profiled(prepared.in_effect)
    executor.end("job")
    reach(supervisor, "job", "Completed")
    assert evaluations(state, "job")["ProfilerReport"].status == "Stopped"
