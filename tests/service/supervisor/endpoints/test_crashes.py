"""A service that dies at any point: the next one goes on, and launches nothing twice."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.errors import ClaryError
from clary.service.executors.replica_executor import Alive
from clary.service.state.replicas import ENDED, SERVING, STARTING, ReplicaRecord
from clary.service.state.state import State
from clary.settings import Settings
from tests.service.supervisor.endpoints.conftest import (
    Stage,
    configuration,
    now_ms,
    variant,
)


def test_replicas_are_found_again_and_none_is_started_twice(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")
    before = stage.serving("e")
    stage.restart()
    stage.supervisor.wait_until("e", lambda one: False, 0.3)
    assert stage.serving("e") == before
    assert len(stage.replicas.specs) == 2


def test_one_that_died_meanwhile_is_replaced(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    (first,) = stage.serving("e")
    stage.supervisor.close()
    stage.replicas.die(first.instance)
    stage.restart()
    stage.eventually(
        lambda: [one.instance for one in stage.serving("e")] not in ([], [first.instance])
    )


def test_one_that_came_up_while_no_service_ran_is_asked_first(stage: Stage) -> None:
    stage.replicas.silent.add("AllTraffic")
    stage.create("e", configuration(variant(ContainerStartupHealthCheckTimeoutInSeconds=600)))
    stage.eventually(lambda: len(stage.living("e")) == 1)
    (coming,) = stage.living("e")
    stage.eventually(lambda: coming.instance in {path.name for path in stage.replicas.folders})
    stage.supervisor.close()
    stage.state.replicas.change(coming.number, lambda one: replace(one, created_ms=1))
    stage.replicas.of(coming.instance).answers = True
    stage.restart()
    stage.reach("e", "InService")
    assert [one.instance for one in stage.serving("e")] == [coming.instance]


def test_what_was_stored_and_never_launched_is_replaced(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    record = stage.reach("e", "InService")
    stage.supervisor.close()
    (first,) = stage.serving("e")
    stage.state.replicas.change(first.number, lambda one: replace(one, status=ENDED))
    lost = stage.state.replicas.add(
        ReplicaRecord(record.number, 1, "AllTraffic", "i-00000000000000000", now_ms())
    )
    stage.restart()
    stage.eventually(lambda: len(stage.serving("e")) == 1)
    assert stage.serving("e")[0].instance != lost.instance
    found = stage.state.replicas.find(lost.instance)
    assert found is not None
    assert (found.status, found.failure) == (ENDED, None)


def test_replicas_of_no_endpoint_are_ended(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    (known,) = stage.serving("e")
    stage.supervisor.close()
    spec = stage.replicas.specs[0]
    orphan = spec.folder.with_name("i-ffffffffffffffff0")
    stage.replicas.start(replace(spec, folder=orphan))
    (stage.settings.endpoints_dir / "unknown" / "1").mkdir(parents=True)
    stage.restart()
    stage.eventually(lambda: not isinstance(stage.replicas.look(orphan), Alive))
    stage.eventually(lambda: not (stage.settings.endpoints_dir / "unknown").exists())
    assert stage.serving("e") == [known]


def test_replicas_of_a_fleet_that_is_no_more_are_let_go_of(stage: Stage) -> None:
    stage.create("e", configuration(variant("a")))
    stage.reach("e", "InService")
    stage.replicas.of(stage.serving("e")[0].instance).heeds_sigterm = False
    config = configuration(variant("b", "n"))
    stage.change(
        "e",
        lambda one: replace(one, status="Updating", fleets=2, pending=stage.pending(one, config)),
    )
    stage.reach("e", "InService")
    stage.restart()
    stage.eventually(lambda: [one.variant for one in stage.living("e")] == ["b"])


@pytest.mark.parametrize("status", ["Updating", "Deleting"])
def test_what_was_asked_is_done_by_the_next_one(stage: Stage, status: str) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    stage.supervisor.close()
    stage.state.endpoints.change(
        "e",
        lambda one: replace(
            one,
            status=status,
            variants=(replace(one.variants[0], desired_count=2),),
        ),
    )
    stage.restart()
    if status == "Deleting":
        stage.gone("e")
        assert not stage.replicas.living(stage.settings.endpoints_dir)
    else:
        assert stage.reach("e", "InService").variants[0].count == 2


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(1, 3)),
        st.tuples(st.just("update"), st.integers(1, 2)),
        st.tuples(st.just("broken"), st.just(1)),
        st.tuples(st.just("die"), st.integers(0, 2)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=6,
)


@given(steps=_STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_as_many_serve_as_are_asked_for(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Settings(home=Path(folder))
        with closing(State(home.state_file)) as state, Stage(state, home) as stage:
            stage.create("e", configuration(variant()))
            for what, number in steps:
                _take(stage, what, number)
            record = stage.reach("e", "InService")
            wanted = record.variants[0].desired_count
            stage.eventually(
                lambda: [one.status for one in stage.living("e")] == [SERVING] * wanted
            )
            assert {one.fleet for one in stage.living("e")} == {record.fleet}
            assert all(one.starts == 1 for one in stage.replicas.folders.values())
            stage.eventually(lambda: len(stage.replicas.living(home.endpoints_dir)) == wanted)
            stage.change("e", lambda one: replace(one, status="Deleting"))
            stage.gone("e")
            assert not stage.replicas.living(home.endpoints_dir)


def _take(stage: Stage, what: str, number: int) -> None:
    stage.replicas.dies.clear()
    if what == "restart":
        stage.restart()
        return
    if what == "die":
        living = [one for one in stage.living("e") if one.status in {STARTING, SERVING}]
        folders = {path.name for path in stage.replicas.folders}
        for one in living[number : number + 1]:
            if one.instance in folders:
                stage.replicas.die(one.instance)
        return
    stage.reach("e", "InService")
    if what == "count":
        stage.change(
            "e",
            lambda one: replace(
                one,
                status="Updating",
                variants=(replace(one.variants[0], desired_count=number),),
            ),
        )
        return
    if what == "broken":
        stage.replicas.preparation.fails["broken"] = ClaryError("it is broken")
    config = configuration(variant(model="broken" if what == "broken" else "m", count=number))
    stage.change(
        "e",
        lambda one: replace(
            one,
            status="Updating",
            fleets=one.fleets + 1,
            pending=stage.pending(one, config),
        ),
    )
