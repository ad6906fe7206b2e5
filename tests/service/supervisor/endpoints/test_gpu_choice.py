"""Replicas on GPU instance types get the GPU that the fewest have."""

from __future__ import annotations

import pytest

from clary.service.supervisor.endpoints import crews, services
from tests.service.supervisor.endpoints.conftest import Stage, configuration, variant


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (crews, services):
        monkeypatch.setattr(module, "count_gpus", lambda: 2)


def _gpus(stage: Stage) -> dict[str, int | None]:
    serving = {one.instance for one in stage.serving("e")}
    return {spec.instance: spec.gpu for spec in stage.replicas.specs if spec.instance in serving}


@pytest.mark.parametrize("restarts", [False, True], ids=["same", "another"])
def test_a_replacement_gets_the_gpu_that_is_free(stage: Stage, restarts: bool) -> None:
    stage.create("e", configuration(variant(count=2, InstanceType="ml.g4dn.xlarge")))
    stage.reach("e", "InService")
    before = _gpus(stage)
    assert sorted(before.values()) == [0, 1]
    if restarts:
        stage.restart()
    for number in (1, 0, 0):
        victim = next(instance for instance, gpu in _gpus(stage).items() if gpu == number)
        stage.replicas.die(victim)
        stage.eventually(lambda victim=victim: len(_gpus(stage).keys() - {victim}) == 2)
        assert sorted(_gpus(stage).values()) == [0, 1]


def test_others_have_none(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    assert list(_gpus(stage).values()) == [None]
