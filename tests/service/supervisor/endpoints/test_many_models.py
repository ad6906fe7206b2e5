"""Models of multi-model endpoints: each fetched once, under a name that any disk takes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import ClaryError
from clary.service.state.state import State
from clary.service.supervisor.endpoints.many_models import folder_name
from clary.settings import Settings
from tests.service.supervisor.endpoints.conftest import QUICK, Stage, configuration, variant
from tests.waiting import until


def multi_model() -> dict[str, object]:
    config = configuration(variant())
    config["_models"]["m"]["PrimaryContainer"]["Mode"] = "MultiModel"
    return config


def test_a_model_is_fetched_once_however_many_ask(stage: Stage) -> None:
    stage.create("e", multi_model())
    stage.reach("e", "InService")
    with ThreadPoolExecutor(8) as threads:
        names = set(
            threads.map(
                lambda _: stage.supervisor.fetch_model("e", "AllTraffic", "cats/a.tar.gz"),
                range(16),
            )
        )
    (name,) = names
    shared = stage.settings.endpoints_dir / "e" / "1" / "models" / "AllTraffic" / "model"
    assert [path.name for path in shared.iterdir()] == [name]
    assert name.startswith("cats-a-")
    assert stage.supervisor.fetch_model("e", "AllTraffic", "b.tar.gz") != name


def test_who_asks_does_not_wait_for_ever(state: State, settings: Settings) -> None:
    with Stage(state, settings, timing=replace(QUICK, fetch_s=0.1)) as stage:
        stage.create("e", multi_model())
        stage.reach("e", "InService")
        shared = settings.endpoints_dir / "e" / "1" / "models" / "AllTraffic"
        (shared / ".fetching" / "left by a service that was killed").mkdir(parents=True)
        preparation = stage.replicas.preparation
        preparation.hold.clear()
        try:
            assert stage.supervisor.fetch_model("e", "AllTraffic", "a.tar.gz") is None
            assert stage.supervisor.fetch_model("e", "AllTraffic", "a.tar.gz") is None
            assert len(list((shared / ".fetching").iterdir())) == 1
        finally:
            preparation.hold.set()
        name = until(lambda: stage.supervisor.fetch_model("e", "AllTraffic", "a.tar.gz"))
        assert (shared / "model" / name).is_dir()
        assert list((shared / ".fetching").iterdir()) == []


def test_what_nobody_asks_for_makes_room_and_is_fetched_again(
    state: State, settings: Settings
) -> None:
    little = settings.model_copy(update={"cache_limit_bytes": 250})
    with Stage(state, little, timing=replace(QUICK, unasked_s=0.0)) as stage:
        stage.create("e", multi_model())
        stage.reach("e", "InService")
        shared = settings.endpoints_dir / "e" / "1" / "models" / "AllTraffic"

        def fetch(target: str) -> str:
            name = stage.supervisor.fetch_model("e", "AllTraffic", target)
            assert name is not None
            (shared / "model" / name / "weights").write_bytes(bytes(100))
            return name

        def kept() -> set[str]:
            return {path.name for path in (shared / "model").iterdir()}

        a, b, c = fetch("a"), fetch("b"), fetch("c")
        assert fetch("a") == a
        assert kept() == {a, b, c}
        d = fetch("d")  # 300 bytes are there: the one goes that was asked for longest ago
        assert kept() == {a, c, d}
        assert fetch("b") == b
        assert kept() == {a, d, b}
        assert list((shared / ".fetching").iterdir()) == []


def test_a_model_that_was_asked_for_lately_stays(state: State, settings: Settings) -> None:
    with Stage(state, settings.model_copy(update={"cache_limit_bytes": 0})) as stage:
        stage.create("e", multi_model())
        stage.reach("e", "InService")
        names = {stage.supervisor.fetch_model("e", "AllTraffic", one) for one in "ab"}
        shared = settings.endpoints_dir / "e" / "1" / "models" / "AllTraffic" / "model"
        assert {path.name for path in shared.iterdir()} == names


def test_what_cannot_be_fetched_is_tried_again_when_it_is_asked_for(stage: Stage) -> None:
    stage.create("e", multi_model())
    stage.reach("e", "InService")
    stage.replicas.preparation.fails["a.tar.gz"] = ClaryError("nothing there")
    for _ in range(2):
        with pytest.raises(ClaryError, match="nothing there"):
            stage.supervisor.fetch_model("e", "AllTraffic", "a.tar.gz")
    del stage.replicas.preparation.fails["a.tar.gz"]
    assert stage.supervisor.fetch_model("e", "AllTraffic", "a.tar.gz")


def test_an_endpoint_of_one_model_has_no_others(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    with pytest.raises(ClaryError, match="one model only"):
        stage.supervisor.fetch_model("e", "AllTraffic", "a.tar.gz")
    with pytest.raises(ClaryError, match="no variant"):
        stage.supervisor.fetch_model("nobody", "AllTraffic", "a.tar.gz")


@given(one=st.text(min_size=1), other=st.text(min_size=1))
def test_folders_are_safe_and_differ(one: str, other: str) -> None:
    for target in (one, other):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{11,60}", folder_name(target))
    assert (folder_name(one) == folder_name(other)) == (one == other)
