"""What a worker needs to run, and how many there are of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clary.endpoint.script_backend import ScriptBackend
from clary.endpoint.worker import worker_count
from clary.formats.replica import ReplicaSettings
from clary.jobs.layer import make_layer
from tests.endpoint.script_workers import (
    PATIENCE_S,
    ask,
    served,
    worker_processes,
    write_script,
)

SOURCES = Path(__file__).parents[2] / "src"


def settings(**told: Any) -> ReplicaSettings:
    named = {"endpoint": "dogs", "variant": "A", "instance": "i-1", "kind": "script", "model": "/m"}
    return ReplicaSettings.model_validate({**named, **told})


def test_it_needs_nothing_but_python() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(SOURCES)!r})\n"
        "import clary.endpoint.worker\n"
        "from clary.endpoint.handlers import toolkit_names\n"
        "others = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(others - {'clary', '__main__'}))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


CORES = min(len(os.sched_getaffinity(0)), 4)


@pytest.mark.parametrize(
    ("told", "variables", "count"),
    [
        ({"workers": 3}, {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}, 3),
        ({}, {"SAGEMAKER_MODEL_SERVER_WORKERS": "99"}, None),
        ({}, {"CUDA_VISIBLE_DEVICES": "0,2"}, 2),
        ({}, {"CUDA_VISIBLE_DEVICES": ""}, None),
        ({}, {"CUDA_VISIBLE_DEVICES": "-1"}, None),
    ],
)
def test_how_many_there_are(
    told: dict[str, int], variables: dict[str, str], count: int | None
) -> None:
    assert worker_count(settings(**told), variables) == (CORES if count is None else count)


def test_each_worker_sees_its_own_gpu_and_share_of_the_cores(tmp_path: Path) -> None:
    script = """
import os

def model_fn(model_dir, context):
    return context.system_properties["gpu_id"]

def transform_fn(model, body, content_type, accept):
    return f"{model} {os.environ['CUDA_VISIBLE_DEVICES']} {os.environ['OMP_NUM_THREADS']}"
"""

    async def go() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CUDA_VISIBLE_DEVICES", "7")
            async with served(tmp_path, script, {"OMP_NUM_THREADS": "3"}) as (backend, _):
                assert (await ask(backend)).body == b"0 7 3"

    asyncio.run(go())


def test_it_runs_in_the_environment_of_peoples_requirements(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    make_layer(layer)
    packages = next(layer.glob("lib/python*/site-packages"))
    (packages / "only_here.py").write_text("NAME = 'poodle'\n")
    # Older than what Clary is written for: it must not be needed.
    (packages / "pydantic.py").write_text("raise ImportError('another one')\n")
    script = """
import numpy
import only_here

def model_fn(model_dir):
    return only_here.NAME

def transform_fn(model, body, content_type, accept):
    return model
"""

    async def go() -> None:
        python = str(layer / "bin" / "python")
        async with served(tmp_path, script, python=python) as (backend, _):
            reply = await ask(backend)
            assert (reply.status, reply.body) == (200, b"poodle")

    asyncio.run(go())


# As in a fork whose parent has loaded what most scripts import.
WARM = """
import os
import sys
from pathlib import Path

import numpy

from clary.endpoint.script_backend import ScriptBackend
from clary.endpoint.worker import run_worker
from clary.formats.replica import ReplicaSettings

sys.exit(run_worker(sys.argv[1], ReplicaSettings.read(Path(sys.argv[2])), os.environ))
"""


def test_what_a_script_brings_goes_before_what_is_loaded(tmp_path: Path) -> None:
    script = """
import numpy

def model_fn(model_dir):
    return numpy.MINE

def transform_fn(model, body, content_type, accept):
    return model
"""

    async def go() -> None:
        settings = write_script(tmp_path, script)
        (tmp_path / "model" / "code" / "numpy.py").write_text("MINE = 'mine'\n")
        command = (sys.executable, "-c", WARM)
        async with worker_processes(tmp_path, 1, command=command) as processes:
            backend = ScriptBackend(settings, processes.listener)
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            assert (await ask(backend)).body == b"mine"
            await backend.close()

    asyncio.run(go())
