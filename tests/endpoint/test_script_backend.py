"""People's handlers in processes of their own: who answers what, and what becomes of a death."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clary.endpoint.backend import Backend
from clary.endpoint.invocation import Refusal
from clary.endpoint.script_backend import ScriptBackend
from clary.errors import ModelError
from tests.endpoint.script_workers import ask, served, worker_processes, write_script
from tests.waiting import PATIENCE_S

SCRIPT = """
import os
import signal
import time
from pathlib import Path

with open(Path(__file__).parents[2] / "loads", "a") as file:
    file.write("x")

def model_fn(model_dir):
    return Path(model_dir).name

def transform_fn(model, body, content_type, accept):
    told, _, rest = body.partition(" ")
    print("asked for", body)
    if told == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if told == "hang":
        time.sleep(600)
    if told == "meet":  # until the other one is there, too
        mine, other = rest.split()
        Path(mine).touch()
        while not Path(other).exists():
            time.sleep(0.005)
    if told == "wait":
        while not Path(rest).exists():
            time.sleep(0.005)
    return f"{os.getpid()} {body}"
"""


async def refused(backend: ScriptBackend, body: str, *, seconds: float = PATIENCE_S) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await ask(backend, body.encode(), seconds=seconds)
    return caught.value


def test_it_answers_and_its_prints_are_labelled_lines_of_the_log(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT) as (backend, processes):
            typed: Backend = backend
            assert (typed.capacity, typed.health.ready) == (1, True)
            reply = await ask(backend, b"beagle", accept="text/plain")
            assert (reply.status, reply.content_type) == (200, "text/plain")
            assert reply.body.endswith(b" beagle")
            assert reply.model_us > 0
        assert processes.ends == [0]
        assert "[worker 1] asked for beagle\n" in processes.log

    asyncio.run(go())


def test_workers_work_at_the_same_time(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT, workers=2) as (backend, _):
            a, b = tmp_path / "a", tmp_path / "b"
            replies = await asyncio.gather(
                ask(backend, f"meet {a} {b}".encode()), ask(backend, f"meet {b} {a}".encode())
            )
        assert len({reply.body.split()[0] for reply in replies}) == 2

    asyncio.run(go())


def test_more_requests_than_workers_all_get_their_own_answer(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT, workers=2) as (backend, _):
            replies = await asyncio.gather(
                *(ask(backend, f"number {number}".encode()) for number in range(40))
            )
        assert [reply.body.split(b" ", 1)[1] for reply in replies] == [
            f"number {number}".encode() for number in range(40)
        ]

    asyncio.run(go())


def test_a_worker_that_dies_costs_one_request_and_is_replaced(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT) as (backend, processes):
            died = await refused(backend, "die")
            assert (died.status, "died" in died.sentence) == (500, True)
            health = backend.health
            assert (health.ready, health.passing) == (False, True)
            assert (await ask(backend, b"again")).status == 200
            assert processes.ends == [-9]
            assert backend.health.ready

    asyncio.run(go())


def test_a_request_over_its_time_ends_its_worker(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT) as (backend, processes):
            late = await refused(backend, "hang", seconds=0.3)
            assert (late.status, "in time" in late.sentence) == (504, True)
            assert (await ask(backend, b"again")).status == 200
            assert processes.ends == [-9]

    asyncio.run(go())


def test_waiting_for_a_worker_counts_as_time_and_costs_none(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT) as (backend, processes):
            go_on = tmp_path / "go on"
            first = asyncio.create_task(ask(backend, f"wait {go_on}".encode()))
            await asyncio.sleep(0)
            for seconds in (-1.0, 0.2):
                late = await refused(backend, "later", seconds=seconds)
                assert (late.status, "no worker was free" in late.sentence) == (504, True)
            go_on.touch()
            assert (await first).status == 200
            assert (await refused(backend, "late", seconds=-1.0)).status == 504
            assert processes.ends == []

    asyncio.run(go())


def test_a_client_that_left_costs_nobody_anything(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT) as (backend, processes):
            go_on = tmp_path / "go on"
            gone = [asyncio.create_task(ask(backend, f"wait {go_on}".encode())) for _ in range(2)]
            stays = asyncio.create_task(ask(backend, b"stays"))
            await asyncio.sleep(0.1)
            for task in gone:
                task.cancel()
            go_on.touch()
            assert (await stays).body.endswith(b" stays")
            assert all(
                isinstance(ended, asyncio.CancelledError)
                for ended in await asyncio.gather(*gone, return_exceptions=True)
            )
            assert processes.ends == []

    asyncio.run(go())


def test_what_was_accepted_is_answered_before_the_end(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT) as (backend, processes):
            go_on = tmp_path / "go on"
            asked = [asyncio.create_task(ask(backend, f"wait {go_on}".encode())) for _ in range(3)]
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(backend.close())
            await asyncio.sleep(0.05)
            assert not closing.done()
            go_on.touch()
            assert [reply.status for reply in await asyncio.gather(*asked)] == [200] * 3
            await closing
        assert processes.ends == [0]

    asyncio.run(go())


def test_a_model_that_cannot_be_loaded_is_found_out_by_who_asks(tmp_path: Path) -> None:
    async def go() -> None:
        script = "def model_fn(model_dir):\n    raise RuntimeError('no such weights')\n"
        async with served(tmp_path, script) as (backend, processes):
            assert backend.health.ready
            reply = await ask(backend, b"1,2")
            assert (reply.status, b"RuntimeError: no such weights" in reply.body) == (500, True)
        assert "no such weights" in processes.log

    asyncio.run(go())


def test_a_model_that_fells_every_worker_is_an_error_at_the_start(tmp_path: Path) -> None:
    async def go() -> None:
        script = "import os\n\ndef model_fn(model_dir):\n    os._exit(3)\n"
        with pytest.raises(ModelError, match="3 workers died while they loaded the model"):
            async with served(tmp_path, script):
                pass

    asyncio.run(go())


SERVER = """
import asyncio
import socket
import sys
from pathlib import Path

from clary.endpoint.script_backend import ScriptBackend
from clary.formats.replica import ReplicaSettings
from tests.endpoint.script_workers import ask

async def go():
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.setblocking(False)
    backend = ScriptBackend(ReplicaSettings.read(Path(sys.argv[2])), listener)
    await backend.start()
    print((await ask(backend, b"first")).body.decode(), flush=True)
    await asyncio.sleep(600)

asyncio.run(go())
"""


def test_workers_outlive_their_server_with_the_model_loaded(tmp_path: Path) -> None:
    async def go() -> None:
        settings = write_script(tmp_path, SCRIPT)
        async with worker_processes(tmp_path, 1) as processes:
            handle = processes.listener.fileno()
            server = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(handle), str(tmp_path)],
                pass_fds=[handle],
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
            assert server.stdout is not None
            first = await asyncio.to_thread(server.stdout.readline)
            server.kill()
            server.wait()
            backend = ScriptBackend(settings, processes.listener)
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            second = (await ask(backend, b"second")).body.decode()
            assert first.split()[0] == second.split()[0]
            assert (tmp_path / "loads").read_text() == "x"
            await backend.close()

    asyncio.run(go())


def test_several_models_each_in_its_folder(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT, multi_model=True) as (backend, _):
            for name in ("poodle", "beagle"):
                code = tmp_path / "model" / name / "code"
                code.mkdir(parents=True)
                (code / "inference.py").write_text(
                    "def model_fn(model_dir):\n    return model_dir\n\n"
                    f"def transform_fn(model, body, content_type, accept):\n    return {name!r}\n"
                )
            said = [(await ask(backend, model=name)).body for name in ("poodle", "beagle")]
            assert said == [b"poodle", b"beagle"]
            for model, status in [(None, 400), ("../model", 400), ("..", 400), ("pug", 404)]:
                with pytest.raises(Refusal) as caught:
                    await ask(backend, model=model)
                assert caught.value.status == status

    asyncio.run(go())


def test_scripts_find_the_names_of_the_toolkits_and_log_as_in_the_container(
    tmp_path: Path,
) -> None:
    script = """
import logging
import sys

from sagemaker_inference import content_types, decoder, encoder, errors, utils
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_pytorch_serving_container.default_pytorch_inference_handler import (
    DefaultPytorchInferenceHandler,
)

logger = logging.getLogger(__name__)
other = logging.getLogger("other")
other.addHandler(logging.StreamHandler(sys.stdout))

assert issubclass(DefaultPytorchInferenceHandler, DefaultInferenceHandler)

def model_fn(model_dir):
    logger.info("loading")
    logger.debug("too much")
    other.info("once")

def input_fn(body, content_type):
    if content_type == "image/x-odd":
        raise errors.UnsupportedFormatError(content_type)
    if content_type == "text/csv":
        raise errors.BaseInferenceToolkitError(422, "not dogs", "odd")
    return decoder.decode(body, content_type)

def predict_fn(data, model):
    return data * 2

def output_fn(prediction, accept):
    return encoder.encode(prediction, content_types.JSON), content_types.JSON
"""

    async def go() -> None:
        async with served(tmp_path, script) as (backend, processes):
            reply = await ask(backend, b"[1, 2]", content_type="application/json")
            assert (reply.status, reply.body) == (200, b"[2, 4]")
            assert (await ask(backend, content_type="image/x-odd")).status == 415
            odd = await ask(backend, b"1", content_type="text/csv")
            assert (odd.status, odd.body.splitlines()[0]) == (422, b"not dogs")
        assert "[worker 1] loading\n" in processes.log
        assert "too much" not in processes.log
        assert processes.log.count("once") == 1

    asyncio.run(go())


def test_the_worker_that_has_the_model_is_asked(tmp_path: Path) -> None:
    async def go() -> None:
        async with served(tmp_path, SCRIPT, workers=2, multi_model=True) as (backend, _):
            code = tmp_path / "model" / "pug" / "code"
            code.mkdir(parents=True)
            (code / "inference.py").write_text(SCRIPT)
            deadline = time.monotonic() + PATIENCE_S
            while not backend.health.ready and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            pids = {(await ask(backend, b"", model="pug")).body.split()[0] for _ in range(6)}
        assert len(pids) == 1

    asyncio.run(go())
