"""Objects through a real server: outputs in order, failures alone, tries where they help."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clary.endpoint.backend import Health
from clary.endpoint.invocation import Invocation, Refusal, Reply
from clary.formats.replica import Listening
from clary.formats.transform_plan import InputObject, TransformPlan, output_file
from clary.jobs.transform.failures import ServerGone
from clary.jobs.transform.feeding import Feeder, Outcome
from clary.jobs.transform.model_client import ModelClient
from tests.endpoint.served import Serving, serving


class Upper:
    """Answers in capital letters, the later requests first; what is wrong stands in the body."""

    capacity = 8
    health = Health(ready=True)

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()
        self.at_once = self.most_at_once = 0
        self.heads: set[tuple[str, str]] = set()

    async def start(self) -> None:
        return

    async def answer(self, invocation: Invocation) -> Reply:
        body = invocation.body
        self.asked[body] += 1
        self.heads.add((invocation.content_type, invocation.accept))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.02 if len(body) % 2 else 0.001)
        self.at_once -= 1
        if b"refuse" in body:
            raise Refusal(400, "this is no picture")
        if b"fail" in body:
            return Reply(500, b"Traceback\n\nValueError: a bug", content_type="text/plain")
        if b"once" in body and self.asked[body] == 1:
            raise Refusal(500, "it fails at first")
        if b"busy" in body and self.asked[body] < 6:
            raise Refusal(503, "come back", retry_after_s=1)
        return Reply(200, body.upper(), content_type="text/plain")

    async def close(self) -> None:
        return


class Bench:
    """A folder of a host, and objects beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        output_file(folder, 0).parent.mkdir(parents=True)
        (folder / "objects").mkdir()

    def objects(self, *contents: bytes) -> list[InputObject]:
        made = []
        for number, content in enumerate(contents):
            path = self.folder / "objects" / str(number)
            path.write_bytes(content)
            made.append(InputObject(f"s3://bucket/in/{number}", str(path), str(number)))
        return made

    def run(
        self,
        running: Serving,
        objects: Sequence[InputObject],
        concurrent: int = 4,
        lives: Any = lambda: True,
        **plan: Any,
    ) -> Outcome:
        told = TransformPlan(job="job", **plan)
        listening = Listening(address="127.0.0.1", port=running.port, since_ms=0)
        invoke = ModelClient(listening, told, lives).invoke
        say = self.lines.append
        return Feeder(told, self.folder, invoke, concurrent=concurrent, say=say).run(objects)

    @property
    def outputs(self) -> dict[str, bytes]:
        folder = output_file(self.folder, 0).parent
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_outputs_are_in_the_order_of_their_records(bench: Bench) -> None:
    backend = Upper()
    lines = [b"x" * (n % 7 + 1) + b"%d" % n for n in range(60)]
    objects = bench.objects(b"\n".join(lines), b"one\ntwo\n", b"")
    with serving(backend) as running:
        outcome = bench.run(
            running, objects, split="Line", several_records=False, lines=True, accept="text/plain"
        )
    assert (outcome.done, outcome.failed, outcome.requests) == (3, 0, 62)
    expected = b"".join(line.upper() + b"\n" for line in lines)
    assert bench.outputs == {"0": expected, "1": b"ONE\nTWO\n", "2": b""}
    assert backend.heads == {("application/octet-stream", "text/plain")}
    assert 2 <= backend.most_at_once <= 4


def test_answers_are_put_behind_one_another_where_no_lines_are_asked_for(bench: Bench) -> None:
    with serving(Upper()) as running:
        bench.run(running, bench.objects(b"a\nb\n"), split="Line", several_records=False)
    assert bench.outputs == {"0": b"AB"}


def test_an_object_that_fails_has_no_output_and_the_others_do(bench: Bench) -> None:
    backend = Upper()
    bad = b"\n".join([b"good", b"refuse", *(b"more%d" % n for n in range(200))])
    objects = bench.objects(b"first", bad, b"a fail", b"last")
    objects.append(InputObject("s3://bucket/in/gone", str(bench.folder / "gone"), "gone"))
    with serving(backend) as running:
        outcome = bench.run(
            running, objects, split="Line", several_records=False, concurrent=2, retries=1
        )
    assert (outcome.done, outcome.failed) == (2, 3)
    assert bench.outputs == {"0": b"FIRST", "3": b"LAST"}
    assert outcome.first is not None
    assert outcome.first[0].uri == "s3://bucket/in/1"
    assert outcome.first[1].blamed == "ClientError"
    assert "this is no picture" in outcome.first[1].sentence
    assert "bucket/in/1: ClientError: 400" in bench.lines
    assert "bucket/in/2: Bad HTTP status received from algorithm: 500" in bench.lines
    assert any(line.endswith("ValueError: a bug") for line in bench.lines)
    assert any(
        line.startswith("bucket/in/gone: ClientError: it cannot be read") for line in bench.lines
    )
    # What is left of an object that has failed is of no use to anybody.
    assert sum(backend.asked.values()) < 50
    assert backend.asked[b"refuse"] == 1
    assert backend.asked[b"a fail"] == 2


def test_a_request_is_tried_again_where_that_may_help(bench: Bench) -> None:
    backend = Upper()
    with serving(backend) as running:
        outcome = bench.run(running, bench.objects(b"once", b"busy"), retries=1)
    assert (outcome.done, outcome.failed) == (2, 0)
    assert backend.asked == {b"once": 2, b"busy": 6}


def test_a_server_that_has_ended_ends_everything(bench: Bench) -> None:
    gone = threading.Event()
    with serving(Upper()) as running:
        running.close()
        gone.set()
        with pytest.raises(ServerGone):
            bench.run(running, bench.objects(b"a", b"b"), lives=lambda: not gone.is_set())
    assert bench.outputs == {}
