"""Endpoints over real replicas, with times that a test can wait for."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.formats.converted_model import ConvertedModel
from clary.object_store.store import ObjectStore
from clary.service.executors.local_processes import LocalProcesses
from clary.service.state.state import State
from clary.service.supervisor.endpoints.workplace import EndpointTiming
from clary.settings import Settings
from tests.endpoint.colours import convert_colour_model
from tests.service.executors.conftest import BUCKET, Bench
from tests.service.executors.replicas.conftest import colour_model
from tests.service.supervisor.endpoints.conftest import Stage, configuration, variant

_SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    store = ObjectStore(settings.buckets_dir)
    store.create_bucket(BUCKET)
    yield Bench(settings, store)
    store.close()


@pytest.fixture
def real(bench: Bench) -> Iterator[Stage]:
    """As in service, but for serverless variants that idle after three seconds."""
    settings = bench.settings
    state = State(settings.state_file)
    executor = LocalProcesses(settings, bench.store, warm=False)
    timing = EndpointTiming(idle_s=3.0, backoff_s=0.1)
    with Stage(state, settings, executor.replicas, timing) as stage:
        yield stage
        for endpoint in state.endpoints.select():
            state.endpoints.change(endpoint.name, lambda one: replace(one, status="Deleting"))
            stage.supervisor.wake()
            stage.gone(endpoint.name)
    executor.close()
    state.close()


def _served(bench: Bench, folder: Path, **more: Any) -> dict[str, Any]:
    config = configuration(variant(**more))
    config["_models"]["m"] = colour_model(bench, folder).request
    return config


def test_a_serverless_variant_ends_and_starts_its_replica(
    real: Stage, bench: Bench, tmp_path: Path
) -> None:
    real.create("e", _served(bench, tmp_path / "m", ServerlessConfig=_SERVERLESS))
    real.reach("e", "InService")
    (first,) = real.living("e")
    real.eventually(lambda: not real.living("e"))

    def is_served() -> bool:
        real.supervisor.want("e", "AllTraffic")  # as who waits for an answer does
        return len(real.serving("e")) == 1

    real.eventually(is_served)
    assert real.serving("e")[0].instance != first.instance


def test_a_cache_that_was_deleted_is_filled_again(
    real: Stage, bench: Bench, tmp_path: Path
) -> None:
    real.create("e", _served(bench, tmp_path / "m"))
    real.reach("e", "InService")
    shutil.rmtree(bench.settings.cache_dir)
    (first,) = real.serving("e")
    folder = bench.settings.endpoints_dir / "e" / "1" / first.instance
    pid = real.replicas.process(folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    real.eventually(lambda: first not in real.living("e"))
    # What these weights are converted from is no network: somebody else has to do it here.
    converted = ConvertedModel.of(tmp_path / "m", bench.settings.cache_dir)
    shutil.rmtree(converted.folder, ignore_errors=True)
    convert_colour_model(converted)
    real.eventually(lambda: len(real.serving("e")) == 1)
