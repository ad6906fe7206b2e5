"""Fleets come up, are replaced, shifted, scaled and drained."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from clary.errors import ClaryError
from clary.service.supervisor.endpoints import leavings
from tests.service.supervisor.endpoints.conftest import Stage, configuration, now_ms, variant


def test_it_is_in_service_once_every_replica_serves(stage: Stage) -> None:
    config = configuration(
        variant("a", count=2),
        variant("b", "n"),
        ShadowProductionVariants=[variant("s", "n")],
    )
    stage.create("e", config)
    record = stage.reach("e", "InService")
    assert {one.name: (one.count, one.shadow) for one in record.variants} == {
        "a": (2, False),
        "b": (1, False),
        "s": (1, True),
    }
    serving = stage.serving("e")
    assert sorted(one.variant for one in serving) == ["a", "a", "b", "s"]
    assert [one.variant for one in serving if one.shadow] == ["s"]
    assert all(one.port and one.ready_ms for one in serving)
    assert len({one.instance for one in serving}) == 4


def test_a_replica_that_does_not_come_up_fails_it_in_awss_words(stage: Stage) -> None:
    stage.replicas.dies["AllTraffic"] = "ModuleNotFoundError: No module named 'nothing'"
    stage.create("e", configuration(variant()))
    record = stage.reach("e", "Failed")
    assert record.failure is not None
    assert record.failure.startswith(
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    assert "No module named 'nothing'" in record.failure
    stage.eventually(lambda: not stage.living("e"))


def test_a_model_that_cannot_be_had_fails_it(stage: Stage) -> None:
    stage.replicas.preparation.fails["m"] = ClaryError("Could not find model data at s3://b/k.")
    stage.create("e", configuration(variant()))
    assert stage.reach("e", "Failed").failure == "Could not find model data at s3://b/k."


def test_a_replica_that_never_answers_fails_it_when_its_time_is_up(stage: Stage) -> None:
    stage.replicas.silent.add("AllTraffic")
    stage.create("e", configuration(variant(ContainerStartupHealthCheckTimeoutInSeconds=0.2)))
    assert "did not answer /ping" in (stage.reach("e", "Failed").failure or "")


def test_a_dead_replica_is_replaced_by_a_new_instance(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")
    first, second = stage.serving("e")
    stage.replicas.die(first.instance)
    stage.eventually(
        lambda: (
            len(stage.serving("e")) == 2
            and first.instance not in {one.instance for one in stage.serving("e")}
        )
    )
    assert second.instance in {one.instance for one in stage.serving("e")}
    ended = stage.state.replicas.find(first.instance)
    assert ended is not None
    assert (ended.status, ended.failure) == ("Ended", "killed")
    assert stage.reach("e", "InService").failure is None
    assert all(one.starts == 1 for one in stage.replicas.folders.values())


def test_one_that_hangs_is_replaced(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    (hanging,) = stage.serving("e")
    stage.replicas.of(hanging.instance).answers = False
    stage.eventually(
        lambda: {one.instance for one in stage.serving("e")} - {hanging.instance} != set()
    )


def test_an_update_shifts_to_a_new_fleet_and_lets_the_old_one_go(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=2)))
    before = stage.reach("e", "InService")
    config = configuration(variant(model="n", count=1))
    stage.replicas.preparation.hold.clear()
    stage.change(
        "e",
        lambda one: replace(one, status="Updating", fleets=2, pending=stage.pending(one, config)),
    )
    assert len(stage.serving("e", fleet=before.fleet)) == 2
    stage.replicas.preparation.hold.set()
    after = stage.reach("e", "InService")
    assert (after.fleet, after.config_name, after.pending) == (2, "c2", None)
    assert len(stage.serving("e", fleet=2)) == 1
    stage.eventually(lambda: len(stage.living("e")) == 1)


def test_an_update_that_fails_is_rolled_back(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    (serving,) = stage.serving("e")
    stage.replicas.dies["broken"] = "SyntaxError"
    config = configuration(variant("AllTraffic"), variant("broken", "n"))
    stage.change(
        "e",
        lambda one: replace(one, status="Updating", fleets=2, pending=stage.pending(one, config)),
    )
    record = stage.reach("e", "InService")
    assert "SyntaxError" in (record.failure or "")
    assert (record.fleet, record.config_name, record.pending) == (1, "c", None)
    stage.eventually(lambda: len(stage.living("e")) == 1)
    assert stage.serving("e") == [serving]


def test_the_old_fleet_stays_as_long_as_the_update_asks(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    waits = {"BlueGreenUpdatePolicy": {"TerminationWaitInSeconds": 600}}
    config = configuration(variant(model="n"))
    stage.change(
        "e",
        lambda one: replace(
            one, status="Updating", fleets=2, pending=stage.pending(one, config, deployment=waits)
        ),
    )
    stage.reach("e", "InService")
    assert len(stage.serving("e", fleet=1)) == 1
    stage.change("e", lambda one: replace(one, deployment=None))
    stage.eventually(lambda: not stage.serving("e", fleet=1))
    assert len(stage.serving("e", fleet=2)) == 1


def test_capacities_and_weights_change_without_a_new_fleet(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=1)))
    stage.reach("e", "InService")
    (first,) = stage.serving("e")
    for count, weight in ((3, 0.5), (1, 2.0)):
        stage.change(
            "e",
            lambda one, count=count, weight=weight: replace(
                one,
                status="Updating",
                variants=(replace(one.variants[0], desired_count=count, desired_weight=weight),),
            ),
        )
        record = stage.reach("e", "InService")
        assert (record.variants[0].count, record.variants[0].weight) == (count, weight)
        assert len(stage.serving("e")) == count
    assert record.fleet == 1
    # The newest have gone.
    assert stage.serving("e") == [first]


def test_more_replicas_that_do_not_come_up_leave_it_as_it_was(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=1)))
    stage.reach("e", "InService")
    stage.replicas.dies["AllTraffic"] = "MemoryError"
    stage.change(
        "e",
        lambda one: replace(
            one, status="Updating", variants=(replace(one.variants[0], desired_count=2),)
        ),
    )
    record = stage.reach("e", "InService")
    assert "MemoryError" in (record.failure or "")
    assert (record.variants[0].count, record.variants[0].desired_count) == (1, 1)
    assert len(stage.serving("e")) == 1


def test_what_failed_in_service_is_no_reason_later(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    stage.replicas.dies["AllTraffic"] = "out of memory"
    stage.replicas.die(stage.serving("e")[0].instance)
    stage.eventually(lambda: len(stage.replicas.specs) >= 3)
    del stage.replicas.dies["AllTraffic"]
    stage.eventually(lambda: len(stage.serving("e")) == 1)
    stage.change(
        "e",
        lambda one: replace(
            one, status="Updating", variants=(replace(one.variants[0], desired_count=2),)
        ),
    )
    record = stage.reach("e", "InService")
    assert (record.failure, record.variants[0].count) == (None, 2)


def test_what_is_under_way_is_answered_before_a_replica_goes(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")
    busy = stage.serving("e")[1]
    for one in stage.serving("e"):
        stage.traffic.begin(one.instance)
    stage.traffic.begin(busy.instance)
    stage.change(
        "e",
        lambda one: replace(
            one, status="Updating", variants=(replace(one.variants[0], desired_count=1),)
        ),
    )
    # The one with less to do goes, and only once it has nothing to do.
    stage.eventually(lambda: len(stage.serving("e")) == 1)
    assert stage.serving("e") == [busy]
    (draining,) = (one for one in stage.living("e") if one.status == "Draining")
    stage.traffic.end(draining.instance)
    stage.reach("e", "InService")


def test_one_that_does_not_end_is_killed(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    stage.replicas.of(stage.serving("e")[0].instance).heeds_sigterm = False
    stage.change("e", lambda one: replace(one, status="Deleting"))
    stage.gone("e")


def test_deleting_leaves_nothing(stage: Stage) -> None:
    folder = stage.settings.endpoints_dir / "e"
    (folder / "1").mkdir(parents=True)
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")
    stage.change("e", lambda one: replace(one, status="Deleting", modified_ms=now_ms()))
    stage.gone("e")
    assert not folder.exists()
    assert stage.state.replicas.select() == []
    assert len(stage.replicas.discarded) == 2
    assert not stage.replicas.living(stage.settings.endpoints_dir)


def test_deleting_one_that_is_created_ends_it_at_once(stage: Stage) -> None:
    stage.replicas.silent.add("AllTraffic")
    stage.create("e", configuration(variant()))
    stage.eventually(lambda: bool(stage.living("e")))
    stage.change("e", lambda one: replace(one, status="Deleting"))
    stage.gone("e")


def test_one_that_lives_does_not_hurry_those_that_keep_dying(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")
    lives, dies = stage.serving("e")
    # For longer than it takes to be proven.
    stage.state.replicas.change(lives.number, lambda one: replace(one, ready_ms=1))
    stage.replicas.dies["AllTraffic"] = "out of memory"
    before, began = len(stage.replicas.specs), time.monotonic()
    stage.replicas.die(dies.instance)
    stage.supervisor.wait_until("e", lambda one: False, 1.0)
    started = len(stage.replicas.specs) - before
    # After 0, 0.02, 0.04 and 0.08 s, and then every 0.1 s, where each took no time at all.
    assert 2 <= started <= 5 + (time.monotonic() - began) / 0.1


def test_of_replicas_that_keep_dying_the_last_are_remembered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leavings, "KEPT", 3)
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    stage.replicas.dies["AllTraffic"] = "out of memory"
    stage.replicas.die(stage.serving("e")[0].instance)
    stage.eventually(lambda: len(stage.replicas.specs) >= 8)
    del stage.replicas.dies["AllTraffic"]
    stage.eventually(lambda: len(stage.serving("e")) == 1)
    stage.eventually(lambda: len(stage.state.replicas.select()) == 4)
    streams = stage.state.logs.streams("/aws/sagemaker/Endpoints/e")
    known = {f"AllTraffic/{one.instance}" for one in stage.state.replicas.select()}
    assert {stream.name for stream in streams} == known


def test_what_died_before_is_started_again_later_and_later(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    stage.replicas.dies["AllTraffic"] = "out of memory"
    stage.replicas.die(stage.serving("e")[0].instance)
    stage.eventually(lambda: len(stage.replicas.specs) >= 4)
    # At once, after 0.02, 0.04 and 0.08 s, and then every 0.1 s.
    before, began = len(stage.replicas.specs), time.monotonic()
    stage.supervisor.wait_until("e", lambda one: False, 0.5)
    started = len(stage.replicas.specs) - before
    assert started <= 3 + (time.monotonic() - began) / 0.1
    assert stage.reach("e", "InService").status == "InService"
    del stage.replicas.dies["AllTraffic"]
    stage.eventually(lambda: len(stage.serving("e")) == 1)


def test_a_service_that_stood_still_ends_no_replica(stage: Stage) -> None:
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")
    before = stage.serving("e")
    stage.replicas.moving.clear()
    stage.supervisor.wait_until("e", lambda one: False, 1.5)
    stage.replicas.moving.set()
    stage.supervisor.wait_until("e", lambda one: False, 0.3)
    assert stage.serving("e") == before


def test_models_that_take_long_hold_up_no_question(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    before = stage.serving("e")
    stage.replicas.preparation.hold.clear()
    for number in range(70):
        stage.create(f"other-{number}", configuration(variant()))
    stage.supervisor.wait_until("e", lambda one: False, 1.0)
    assert stage.serving("e") == before
    stage.replicas.preparation.hold.set()


def test_a_failed_update_keeps_nothing_whatever_an_earlier_one_asked(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    waits = {"BlueGreenUpdatePolicy": {"TerminationWaitInSeconds": 600}}
    config = configuration(variant("AllTraffic"), variant("broken", "n"))
    stage.replicas.dies["broken"] = "SyntaxError"
    stage.change(
        "e",
        lambda one: replace(
            one,
            status="Updating",
            fleets=2,
            deployment=waits,
            pending=stage.pending(one, config),
        ),
    )
    assert stage.reach("e", "InService").failure
    stage.eventually(lambda: [one.fleet for one in stage.living("e")] == [1])


def test_a_kept_fleet_outlives_a_change_of_weights(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    waits = {"BlueGreenUpdatePolicy": {"TerminationWaitInSeconds": 600}}
    config = configuration(variant(model="n"))
    stage.change(
        "e",
        lambda one: replace(
            one,
            status="Updating",
            fleets=2,
            pending=stage.pending(one, config, deployment=waits),
        ),
    )
    stage.reach("e", "InService")
    stage.change(
        "e",
        lambda one: replace(
            one, status="Updating", variants=(replace(one.variants[0], desired_weight=2.0),)
        ),
    )
    assert stage.reach("e", "InService").variants[0].weight == 2.0
    assert len(stage.serving("e", fleet=1)) == 1


def test_deleting_does_not_wait_for_what_takes_an_hour(stage: Stage) -> None:
    output = {"OutputConfig": {"S3OutputPath": "s3://b/o"}}
    stage.create("e", configuration(variant(), AsyncInferenceConfig=output))
    stage.reach("e", "InService")
    stage.traffic.begin(stage.serving("e")[0].instance)
    stage.change("e", lambda one: replace(one, status="Deleting"))
    stage.gone("e")


def test_what_was_cancelled_is_forgotten_once_it_is_gone(stage: Stage) -> None:
    stage.replicas.preparation.hold.clear()
    stage.create("e", configuration(variant()))
    stage.supervisor.wait_until("e", lambda one: False, 0.2)
    stage.change("e", lambda one: replace(one, status="Deleting"))
    stage.eventually(lambda: bool(stage.replicas.preparation.cancelled))
    stage.replicas.preparation.hold.set()
    stage.gone("e")
    assert not stage.replicas.preparation.cancelled
