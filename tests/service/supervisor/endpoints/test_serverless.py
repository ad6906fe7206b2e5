"""Serverless variants: started when they are asked for, ended when they are idle."""

from __future__ import annotations

from dataclasses import replace

from clary.service.state.state import State
from clary.settings import Settings
from tests.service.supervisor.endpoints.conftest import (
    QUICK,
    Stage,
    configuration,
    now_ms,
    variant,
)

_SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}


def test_it_shows_that_it_can_serve_then_idles_until_it_is_wanted(stage: Stage) -> None:
    stage.create("e", configuration(variant(ServerlessConfig=_SERVERLESS)))
    stage.reach("e", "InService")
    stage.eventually(lambda: not stage.living("e"))
    stage.supervisor.want("e", "AllTraffic")
    stage.eventually(lambda: len(stage.serving("e")) == 1)
    stage.eventually(lambda: not stage.living("e"))


def test_traffic_keeps_it(state: State, settings: Settings) -> None:
    with Stage(state, settings, timing=replace(QUICK, idle_s=2)) as stage:
        stage.create("e", configuration(variant(ServerlessConfig=_SERVERLESS)))
        stage.reach("e", "InService")
        (first,) = stage.serving("e")
        for _ in range(30):
            stage.traffic.note("e", "AllTraffic", now_ms())
            stage.supervisor.wait_until("e", lambda one: False, 0.1)
        assert stage.serving("e") == [first]


def test_provisioned_concurrency_keeps_it(stage: Stage) -> None:
    serverless = {**_SERVERLESS, "ProvisionedConcurrency": 1}
    stage.create("e", configuration(variant(ServerlessConfig=serverless)))
    stage.reach("e", "InService")
    stage.supervisor.wait_until("e", lambda one: False, 1.0)
    assert len(stage.serving("e")) == 1


def test_what_nobody_knows_is_not_wanted(stage: Stage) -> None:
    stage.supervisor.want("nobody", "AllTraffic")
