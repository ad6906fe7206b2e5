"""Everything that answers invocations keeps the same promises to the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from clary.endpoint.backend import Backend
from clary.endpoint.invocation import Invocation, Refusal, Reply
from clary.endpoint.picture_backend import PictureBackend
from clary.endpoint.script_backend import ScriptBackend
from clary.formats.converted_model import ConvertedModel
from tests.endpoint.colours import COLOURS, convert_colour_model, make_colour_model, picture_of
from tests.endpoint.script_workers import worker_processes, write_script
from tests.endpoint.served import replica_settings
from tests.waiting import PATIENCE_S

World = Callable[[Path], AbstractAsyncContextManager[Backend]]

# The same answers as of the colour model, by handlers.
SCRIPT = """
import io
import json

import numpy as np
from PIL import Image

def model_fn(model_dir):
    return 20.0

def transform_fn(scale, body, content_type, accept):
    levels = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"), np.float32)
    logits = np.exp(levels.mean(axis=(0, 1)) * scale / 255)
    return json.dumps([(logits / logits.sum()).tolist()])
"""


@asynccontextmanager
async def pictures(folder: Path) -> AsyncIterator[Backend]:
    model = make_colour_model(folder / "model")
    converted = convert_colour_model(ConvertedModel.of(model, folder / "cache"))
    yield PictureBackend(
        replica_settings(model=str(model), converted=str(converted), workers=2, max_batch=4)
    )


@asynccontextmanager
async def script(folder: Path) -> AsyncIterator[Backend]:
    settings = write_script(folder, SCRIPT, workers=2)
    async with worker_processes(folder, 2) as processes:
        yield ScriptBackend(settings, processes.listener)


@pytest.fixture(params=[pictures, script], ids=["pictures", "script"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.param
    return found


async def ask(backend: Backend, colour: str, seconds: float = PATIENCE_S) -> Reply:
    deadline = time.monotonic() + seconds
    return await backend.answer(
        Invocation(picture_of(colour), "image/png", "application/json", deadline)
    )


def said(reply: Reply) -> str:
    assert reply.status == 200
    (probabilities,) = json.loads(reply.body)
    return COLOURS[probabilities.index(max(probabilities))]


def test_it_is_ready_once_it_has_started(world: World, tmp_path: Path) -> None:
    async def go() -> None:
        async with world(tmp_path) as backend:
            assert not backend.health.ready
            assert backend.health.reason
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            assert backend.health.ready
            assert backend.capacity >= 1
            reply = await ask(backend, "green")
            assert (said(reply), reply.content_type) == ("green", "application/json")
            assert reply.model_us > 0
            await backend.close()

    asyncio.run(go())


def test_more_than_it_works_on_at_once_all_get_their_own(world: World, tmp_path: Path) -> None:
    async def go() -> None:
        async with world(tmp_path) as backend:
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            colours = [COLOURS[number % 3] for number in range(4 * backend.capacity)]
            replies = await asyncio.gather(*(ask(backend, colour) for colour in colours))
            assert [said(reply) for reply in replies] == colours
            await backend.close()

    asyncio.run(go())


def test_clients_that_leave_cost_the_others_nothing(world: World, tmp_path: Path) -> None:
    async def go() -> None:
        async with world(tmp_path) as backend:
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            asked = [asyncio.create_task(ask(backend, COLOURS[n % 3])) for n in range(24)]
            await asyncio.sleep(0)
            for task in asked[::2]:
                task.cancel()
            replies = await asyncio.gather(*asked, return_exceptions=True)
            for number, reply in enumerate(replies):
                if number % 2:
                    assert isinstance(reply, Reply)
                    assert said(reply) == COLOURS[number % 3]
            assert said(await ask(backend, "blue")) == "blue"
            await backend.close()

    asyncio.run(go())


def test_a_time_that_is_over_is_refused_as_such(world: World, tmp_path: Path) -> None:
    async def go() -> None:
        async with world(tmp_path) as backend:
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            with pytest.raises(Refusal) as late:
                await ask(backend, "red", seconds=-1.0)
            assert late.value.status == 504
            assert said(await ask(backend, "red")) == "red"
            await backend.close()

    asyncio.run(go())


def test_closing_answers_what_was_accepted(world: World, tmp_path: Path) -> None:
    async def go() -> None:
        async with world(tmp_path) as backend:
            await asyncio.wait_for(backend.start(), PATIENCE_S)
            colours = [COLOURS[number % 3] for number in range(12)]
            asked = [asyncio.create_task(ask(backend, colour)) for colour in colours]
            await asyncio.sleep(0)
            await asyncio.wait_for(backend.close(), PATIENCE_S)
            assert [said(reply) for reply in await asyncio.gather(*asked)] == colours

    asyncio.run(go())
