"""What every executor promises its supervisor."""

from __future__ import annotations

from clary.formats.log_file import read_events
from clary.service.executors.executor import (
    Ended,
    Executor,
    Gone,
    Observation,
    Running,
    TrainingJobSpec,
    Waiting,
)
from tests.contracts.conftest import World
from tests.waiting import until


def started(world: World, executor: Executor, job: TrainingJobSpec) -> None:
    said: list[str] = []
    executor.prepare(job, said.append)
    assert all(isinstance(message, str) and message for message in said)
    executor.launch(job)
    world.let_run(executor, job)


def end_of(executor: Executor, job: TrainingJobSpec) -> Observation:
    def end() -> Observation | None:
        seen = executor.look(job)
        return seen if isinstance(seen, Ended | Gone) else None

    return until(end, lambda: executor.look(job))


def test_a_job_waits_until_it_is_launched(world: World) -> None:
    executor, job = world.executor(), world.job("waits", "succeeds")
    assert executor.look(job) == Waiting()
    executor.prepare(job, lambda message: None)
    assert executor.look(job) == Waiting()
    assert dict(executor.processes(job)) == {}


def test_a_job_that_succeeds(world: World) -> None:
    executor, job = world.executor(), world.job("succeeds", "succeeds")
    started(world, executor, job)
    seen = end_of(executor, job)
    assert isinstance(seen, Ended)
    assert (seen.exit_code, seen.failure) == (0, None)
    assert seen.at.tzinfo is not None
    assert executor.look(job) == seen
    assert dict(executor.processes(job)) == {}


def test_a_job_that_fails_says_why(world: World) -> None:
    executor, job = world.executor(), world.job("fails", "fails")
    started(world, executor, job)
    seen = end_of(executor, job)
    assert isinstance(seen, Ended) and seen.exit_code == 1
    assert seen.failure is not None and "ValueError: as it was told" in seen.failure


def test_the_log_of_each_host_can_be_followed(world: World) -> None:
    executor, job = world.executor(), world.job("logs", "succeeds")
    started(world, executor, job)
    end_of(executor, job)
    (log,) = executor.logs(job)
    assert log.stream.startswith("logs/algo-1-")
    assert "ran" in [event.message for event in read_events(log.path)]
    assert executor.logs(job) == (log,)


def test_sigterm_ends_a_job_that_does_not_mind_it(world: World) -> None:
    executor, job = world.executor(), world.job("stops", "stays")
    started(world, executor, job)
    assert isinstance(executor.look(job), Running)
    executor.terminate(job)
    seen = end_of(executor, job)
    assert isinstance(seen, Ended) and seen.exit_code == 143
    executor.terminate(job)
    assert executor.look(job) == seen


def test_sigkill_ends_any_job(world: World) -> None:
    executor, job = world.executor(), world.job("killed", "stays")
    started(world, executor, job)
    executor.kill(job)
    seen = end_of(executor, job)
    assert isinstance(seen, Ended) and seen.exit_code == 137
    executor.kill(job)
    assert executor.look(job) == seen


def test_stopping_what_was_not_launched_does_no_harm(world: World) -> None:
    executor, job = world.executor(), world.job("early", "succeeds")
    executor.terminate(job)
    executor.kill(job)
    assert executor.look(job) == Waiting()


def test_a_job_is_started_once_however_often_it_is_launched(world: World) -> None:
    executor, job = world.executor(), world.job("once", "succeeds")
    started(world, executor, job)
    executor.launch(job)
    end_of(executor, job)
    executor.launch(job)
    again = world.executor()
    again.launch(job)
    assert isinstance(end_of(again, job), Ended)
    assert world.starts(again, job) == 1


def test_a_new_executor_takes_up_a_running_job(world: World) -> None:
    job = world.job("taken-up", "stays")
    started(world, world.executor(), job)
    again = world.executor()
    assert isinstance(again.look(job), Running)
    again.kill(job)
    assert isinstance(end_of(again, job), Ended)


def test_preparing_and_collecting_may_be_done_again(world: World) -> None:
    executor, job = world.executor(), world.job("again", "succeeds")
    executor.prepare(job, lambda message: None)
    started(world, executor, job)
    end_of(executor, job)
    assert executor.collect(job) == executor.collect(job)


def test_a_discarded_job_leaves_nothing_and_can_be_discarded_again(world: World) -> None:
    executor, job = world.executor(), world.job("away", "succeeds")
    started(world, executor, job)
    end_of(executor, job)
    executor.discard(job)
    executor.discard(job)
    assert not job.directory.root.exists()
