"""Models of multi-model endpoints: each fetched once, under a name that any disk takes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import ClaryError
from clary.service.supervisor.endpoints.many_models import folder_name
from tests.service.supervisor.endpoints.conftest import Stage, configuration, variant


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
