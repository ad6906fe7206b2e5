"""Transform jobs whose hosts live in memory, and supervisors that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.errors import ClaryError
from clary.service.executors.executor import Waiting
from clary.service.state.state import State
from clary.service.state.transform_jobs import TransformJobRecord
from clary.service.supervisor.transforms.supervisor import TransformSupervisor
from clary.service.supervisor.transforms.transitions import created
from clary.settings import Settings
from tests.service.supervisor.conftest import QUICK
from tests.service.supervisor.memory_transforms import MemoryTransforms
from tests.waiting import until

ENDS = ("Completed", "Failed", "Stopped")
Supervise = Callable[..., TransformSupervisor]


class World:
    """What outlives a supervisor: the state and the hosts."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, max_jobs=2)
        home.mkdir()
        self.state = State(self.settings.state_file)
        self.hosts = MemoryTransforms()

    def add(self, name: str) -> None:
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
        request: dict[str, Any] = {"ModelName": "model", "TransformResources": resources}
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:transform-job/{name}"
        job = created(name, arn, request, {}, int(time.time() * 1000))
        assert self.state.transform_jobs.create(job, {}) is None

    def job(self, name: str) -> TransformJobRecord:
        job = self.state.transform_jobs.find(name)
        assert job is not None
        return job

    def reach(self, name: str, *states: str) -> TransformJobRecord:
        def reached() -> bool:
            job = self.job(name)
            return not {job.status, job.phase}.isdisjoint(states)

        until(reached, lambda: self.job(name), pause_s=0.005)
        return self.job(name)

    def launched(self, name: str) -> None:
        until(lambda: self.hosts.of(name).launches, lambda: self.job(name), pause_s=0.005)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "home")
    yield world
    world.state.close()


@pytest.fixture
def supervise(world: World) -> Iterator[Supervise]:
    """A function that starts a supervisor of the world; it takes the place of the one before."""
    running: list[TransformSupervisor] = []

    def start() -> TransformSupervisor:
        for earlier in running:
            earlier.close()
        running[:] = [
            TransformSupervisor(
                world.state, world.hosts, world.settings, job_environment=dict, timing=QUICK
            )
        ]
        running[0].start()
        return running[0]

    yield start
    world.hosts.hold_prepare.set()
    world.hosts.hold_launch.set()
    for one in running:
        one.close()


def test_as_many_run_as_there_is_room_for(world: World, supervise: Supervise) -> None:
    for name in ("a", "b", "c"):
        world.add(name)
    supervise()
    for name in ("a", "b"):
        world.launched(name)
    assert world.job("c").phase == "Queued"
    world.hosts.end("a")
    world.launched("c")
    world.hosts.end("b")
    world.hosts.end("c")
    for name in ("a", "b", "c"):
        assert world.reach(name, *ENDS).status == "Completed"


@pytest.mark.parametrize("method", ["prepare", "launch", "collect"])
def test_what_fails_becomes_the_reason(world: World, supervise: Supervise, method: str) -> None:
    world.add("a")
    world.hosts.fails[method, "a"] = ClaryError("there is no such thing")
    supervise()
    if method == "collect":
        world.launched("a")
        world.hosts.end("a")
    job = world.reach("a", *ENDS)
    assert (job.status, job.failure) == ("Failed", "ClientError: there is no such thing")
    assert world.hosts.of("a").tidied == 1
    assert world.hosts.of("a").collected == (method == "collect")


def test_hosts_that_are_gone_fail_the_job_and_keep_what_is_whole(
    world: World, supervise: Supervise
) -> None:
    world.add("a")
    supervise()
    world.launched("a")
    world.hosts.lose("a")
    job = world.reach("a", *ENDS)
    assert (job.status, job.failure) == ("Failed", "InternalServerError: gone")
    assert world.hosts.of("a").collected == 1


@pytest.mark.parametrize("phase", ["Queued", "Preparing", "Transforming"])
def test_a_job_is_stopped_in_every_phase(world: World, supervise: Supervise, phase: str) -> None:
    world.add("a")
    if phase == "Preparing":
        world.hosts.hold_prepare.clear()
    supervisor = supervise()
    if phase == "Queued":
        supervisor.close()
        world.add("b")
        assert supervisor.stop_job("b")
        assert world.job("b").status == "Stopped"
        return
    world.reach("a", phase)
    if phase == "Transforming":
        world.launched("a")
    assert supervisor.stop_job("a")
    assert not supervisor.stop_job("a")
    world.hosts.hold_prepare.set()
    assert world.reach("a", *ENDS).status == "Stopped"
    assert "TERM" in world.hosts.of("a").signals
    assert world.hosts.of("a").collected == 0


def test_a_launch_that_takes_long_holds_up_no_other_job(world: World, supervise: Supervise) -> None:
    world.hosts.hold_launch.clear()
    world.add("held")
    supervisor = supervise()
    world.reach("held", "Transforming")
    world.add("b")
    supervisor.wake()
    world.launched("b")
    world.hosts.end("b")
    assert world.reach("b", *ENDS).status == "Completed"
    assert supervisor.stop_job("held")
    # A host that is launched only now hears of it all the same.
    world.hosts.hold_launch.set()
    assert world.reach("held", *ENDS).status == "Stopped"
    assert (world.hosts.of("held").launches, world.hosts.of("held").signals) == (1, ["TERM"])


def test_hosts_that_were_launched_and_never_run_fail_the_job(
    world: World, supervise: Supervise
) -> None:
    world.add("a")
    supervise()
    world.launched("a")
    world.hosts.of("a").observation = Waiting()
    job = world.reach("a", *ENDS)
    assert job.status == "Failed"
    assert job.failure is not None
    assert "were launched, and do not run" in job.failure
    assert world.hosts.of("a").signals == ["KILL"]


def test_a_new_supervisor_goes_on_wherever_the_last_one_was(
    world: World, supervise: Supervise
) -> None:
    world.add("a")
    world.hosts.hold_prepare.clear()
    supervise()
    world.reach("a", "Preparing")
    world.hosts.hold_prepare.set()
    supervise()
    world.launched("a")
    supervise()
    assert world.job("a").phase == "Transforming"
    world.hosts.end("a", 1, "ClientError: one of them")
    job = world.reach("a", *ENDS)
    assert (job.status, job.failure) == ("Failed", "ClientError: one of them")
    assert world.hosts.of("a").launches == 1


def test_a_launch_that_was_stored_and_not_done_is_done(world: World, supervise: Supervise) -> None:
    world.add("a")
    world.state.transform_jobs.change(
        "a", lambda job: TransformJobRecord(**{**vars(job), "phase": "Transforming"})
    )
    supervise()
    world.launched("a")
    world.hosts.end("a")
    assert world.reach("a", *ENDS).status == "Completed"
