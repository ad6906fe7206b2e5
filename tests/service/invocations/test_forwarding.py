from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from clary.service.invocations.hosting import Hosting
from clary.service.state.replicas import DRAINING
from tests.service.invocations.conftest import Stage, one_variant
from tests.service.invocations.test_invoking import Serve, invoke, refused
from tests.service.invocations.tiny_replica import Asked, Said, TinyReplica, unused_port

Start = Callable[..., TinyReplica]


def not_accepted(why: str, retry_after: str = "1") -> Callable[[Asked], Said]:
    headers = {"x-clary-not-accepted": why, "retry-after": retry_after}
    return lambda asked: Said(503, b"{}", headers)


def test_a_replica_that_is_not_there_is_passed_by(stage: Stage, replica: Start) -> None:
    there = replica()
    name = stage.endpoint([one_variant()], {"AllTraffic": [unused_port(), there.port]})
    for _ in range(8):
        assert invoke(stage, name, b"body")["Body"].read() == b"body"
    assert len(there.asked) == 8


@pytest.mark.parametrize("why", ["full", "starting", "stopping", "another", "1"])
def test_what_was_not_accepted_goes_to_another(stage: Stage, replica: Start, why: str) -> None:
    refusing, there = replica(not_accepted(why)), replica()
    name = stage.endpoint([one_variant()], {"AllTraffic": [refusing.port, there.port]})
    for _ in range(8):
        assert invoke(stage, name, b"body")["Body"].read() == b"body"
    assert len(there.asked) == 8


def test_a_request_says_which_replica_is_meant(stage: Stage, replica: Start) -> None:
    there = replica()
    name = stage.endpoint([one_variant()], {"AllTraffic": [there.port]})
    invoke(stage, name, b"body")
    known = stage.state.replicas.find(there.asked[0].headers["x-clary-instance"])
    assert known is not None
    assert known.port == there.port


def test_when_all_are_full_the_client_is_told_when_to_come_again(
    stage: Stage, replica: Start
) -> None:
    one, two = replica(not_accepted("full", "3")), replica(not_accepted("full", "3"))
    name = stage.endpoint([one_variant()], {"AllTraffic": [one.port, two.port]})
    response = refused(stage, name)
    assert response["Error"]["Code"] == "ServiceUnavailable"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"
    assert (len(one.asked), len(two.asked)) == (1, 1)


def test_a_replica_that_comes_back_is_waited_for(stage: Stage, replica: Start) -> None:
    back = time.monotonic() + 0.3

    def answer(asked: Asked) -> Said:
        late = time.monotonic() >= back
        return Said() if late else not_accepted("starting")(asked)

    one = replica(answer)
    name = stage.endpoint([one_variant()], {"AllTraffic": [one.port]})
    assert invoke(stage, name)["Body"].read() == b"[0.25,0.75]"


def test_a_replacement_is_waited_for(stage: Stage, replica: Start) -> None:
    name = stage.endpoint([one_variant()], {})
    there = replica()
    timer = threading.Timer(0.3, stage.replica, (name, "AllTraffic", there.port))
    timer.start()
    assert invoke(stage, name, b"late")["Body"].read() == b"late"
    timer.join()


def test_who_waits_looks_only_after_changes(
    stage: Stage, replica: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    version = Hosting.version.fget
    assert version is not None

    def counted(hosting: Hosting) -> tuple[int, int]:
        looks.append(1)
        seen: tuple[int, int] = version(hosting)
        return seen

    monkeypatch.setattr(Hosting, "version", property(counted))
    name = stage.endpoint([one_variant()], {})
    there = replica()
    timer = threading.Timer(1, stage.replica, (name, "AllTraffic", there.port))
    timer.start()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: invoke(stage, name)["Body"].read(), range(10)))
    timer.join()
    assert len(answers) == len(there.asked) == 10
    assert len(looks) < 300


def test_what_may_have_begun_is_not_tried_again(stage: Stage, replica: Start) -> None:
    dying, also_dying = replica(lambda asked: Said(0)), replica(lambda asked: Said(0))
    name = stage.endpoint([one_variant()], {"AllTraffic": [dying.port, also_dying.port]})
    response = refused(stage, name)
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 0
    assert response["OriginalMessage"] == (
        "An error occurred while handling request as the model process exited."
    )
    assert len(dying.asked) + len(also_dying.asked) == 1


def test_the_one_with_the_least_to_do_is_asked(stage: Stage, replica: Start) -> None:
    released = threading.Event()

    def hold(asked: Asked) -> Said:
        if asked.body == b"hold":
            assert released.wait(60)
        return Said()

    one, two = replica(hold), replica(hold)
    name = stage.endpoint([one_variant()], {"AllTraffic": [one.port, two.port]})
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(invoke, stage, name, b"hold")
        try:
            while not (one.asked or two.asked):
                time.sleep(0.01)
            idle = two if one.asked else one
            for _ in range(5):
                invoke(stage, name)
            assert len(idle.asked) == 5
        finally:
            released.set()
        assert held.result(60)["Body"].read() == b"[0.25,0.75]"
    assert not any(stage.traffic.outstanding(one.instance) for one in stage.state.replicas.select())


def test_a_draining_replica_gets_nothing_new(stage: Stage, replica: Start) -> None:
    leaving, there = replica(), replica()
    name = stage.endpoint([one_variant()], {"AllTraffic": [there.port]})
    record = stage.replica(name, "AllTraffic", leaving.port)
    stage.state.replicas.change(record.number, lambda one: replace(one, status=DRAINING))
    for _ in range(6):
        invoke(stage, name)
    assert not leaving.asked


def test_an_older_fleet_gets_nothing_new(stage: Stage, serve: Serve, replica: Start) -> None:
    name, older = serve()
    invoke(stage, name)
    stage.state.endpoints.change(name, lambda one: replace(one, fleet=2))
    newer = replica()
    stage.replica(name, "AllTraffic", newer.port)
    for _ in range(4):
        invoke(stage, name)
    assert (len(older.asked), len(newer.asked)) == (1, 4)


def test_a_serverless_variant_is_asked_for_and_waited_for(stage: Stage, replica: Start) -> None:
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}
    name = stage.endpoint([one_variant()], {}, variant=serverless)
    there = replica()
    timer = threading.Timer(0.3, stage.replica, (name, "AllTraffic", there.port))
    timer.start()
    assert invoke(stage, name, b"cold")["Body"].read() == b"cold"
    timer.join()
    assert (name, "AllTraffic") in stage.wanted


def test_a_serverless_variant_has_bounds(stage: Stage, replica: Start) -> None:
    released = threading.Event()

    def hold(asked: Asked) -> Said:
        assert released.wait(60)
        return Said()

    one = replica(hold)
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    name = stage.endpoint([one_variant()], {"AllTraffic": [one.port]}, variant=serverless)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(invoke, stage, name)
        try:
            while not one.asked:
                time.sleep(0.01)
            response = refused(stage, name)
            assert response["Error"]["Code"] == "ThrottlingException"
            assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
        finally:
            released.set()
        held.result(60)
    invoke(stage, name)
    large = refused(stage, name, b"b" * (4 * 2**20 + 1))["Error"]
    assert large["Code"] == "ValidationError"
    assert "less than or equal to 4194304" in large["Message"]


def test_every_one_of_many_gets_its_own_answer(stage: Stage, replica: Start) -> None:
    ports = [replica().port for _ in range(3)]
    name = stage.endpoint([one_variant()], {"AllTraffic": ports})
    bodies = [str(number).encode() * 100 for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: invoke(stage, name, body)["Body"].read(), bodies))
    assert answers == bodies
