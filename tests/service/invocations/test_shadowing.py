from __future__ import annotations

import threading
from collections.abc import Callable

from clary.service.invocations.shadowing import Shadowing
from tests.service.invocations.conftest import Stage, one_variant
from tests.service.invocations.test_invoking import invoke
from tests.service.invocations.tiny_replica import Asked, Said, TinyReplica
from tests.waiting import until


def test_a_shadow_gets_copies_and_nobody_its_answers(
    stage: Stage, replica: Callable[..., TinyReplica]
) -> None:
    released = threading.Event()

    def slow(asked: Asked) -> Said:
        assert released.wait(60)
        return Said(500, b"a shadow's error")

    real, shadow = replica(), replica(slow)
    name = stage.endpoint(
        [one_variant(), one_variant("shadow", shadow=True)],
        {"AllTraffic": [real.port], "shadow": [shadow.port]},
    )
    for number in range(4):
        body = str(number).encode()
        assert invoke(stage, name, body)["Body"].read() == body
    until(lambda: len(shadow.asked) == 4)
    released.set()
    assert sorted(asked.body for asked in shadow.asked) == [b"0", b"1", b"2", b"3"]
    assert len(real.asked) == 4


def test_a_shadow_without_weight_gets_nothing(
    stage: Stage, replica: Callable[..., TinyReplica]
) -> None:
    """Copies are made in their order: when later ones are there, none of these will come."""
    real, shadow, later = replica(), replica(), replica()
    ports = {"AllTraffic": [real.port], "shadow": [shadow.port], "later": [later.port]}
    name = stage.endpoint(
        [
            one_variant(),
            one_variant("shadow", 0.0, shadow=True),
            one_variant("later", shadow=True),
        ],
        ports,
    )
    for _ in range(20):
        invoke(stage, name)
    until(lambda: len(later.asked) == 20)
    assert not shadow.asked


def test_more_copies_than_there_is_room_for_are_not_made() -> None:
    shadowing, released = Shadowing(), threading.Event()
    made = []

    def copy() -> None:
        assert released.wait(60)
        made.append(1)

    taken = sum(shadowing.submit(copy) for _ in range(200))
    assert 64 <= taken < 200
    released.set()
    until(lambda: len(made) == taken)
