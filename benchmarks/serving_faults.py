"""Faults while an endpoint is under load: each request gets one answer of the right kind.

    python benchmarks/serving_faults.py [--network resnet18] [--kind pictures] [--quick]
    python benchmarks/serving_faults.py --endpoint NAME --pictures FOLDER [--quick] [--delete]

The first starts a replica on loopback, the second aims at an endpoint of the service that runs
here, whose model has to be one of Clary's. Scenarios: twice the requests that it can answer, for
30 s; a process killed; a client that stalls in its body; 2,000 bodies that are no pictures; for a
replica SIGTERM, for an endpoint an update and, with `--delete`, its end, each under load. A 200
counts only with the probabilities that the same picture had on the quiet machine. It ends with 1
where a request had no answer or a wrong one, but for those that a killed process had in its hands.
Ctrl-C ends it at once, and the replica with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import uvloop

from clary.formats.replica import ReplicaSettings
from fault_bodies import malformed_bodies
from fault_clients import Clients, NoAnswer, Question, Tally
from fault_targets import EndpointTarget, ReplicaTarget, Target
from measuring import conditions
from photographs import SHARED_DATA, photographs
from rows import Rows, add_rows_option

STALL_S = 30.0
RIGHT = frozenset({"200", "503 refused", "right error"})


@dataclass
class Row:
    """What a scenario came to."""

    name: str
    tally: Tally
    note: str
    allowed: frozenset[str] = RIGHT

    @property
    def wrong(self) -> int:
        counts = self.tally.counts
        missing = self.tally.sent - sum(counts.values())
        return missing + sum(count for kind, count in counts.items() if kind not in self.allowed)

    def cells(self) -> str:
        counts = ", ".join(
            f"{kind}: {count:,}" for kind, count in sorted(self.tally.counts.items())
        )
        times = "–"
        if "200" in self.tally.counts:
            times = " / ".join(f"{self.tally.percentile_ms(share):.0f}" for share in (50, 99, 100))
        cells = (self.name, f"{self.tally.sent:,}", counts, str(self.wrong), times, self.note)
        return f"| {' | '.join(cells)} |"


class Faults:
    """The scenarios, on one target."""

    def __init__(self, target: Target, pictures: Sequence[bytes], *, quick: bool) -> None:
        self.target = target
        self.pictures = pictures
        self.seconds = 4.0 if quick else 30.0
        self.bodies = 200 if quick else 2000
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        print(row.cells(), flush=True)
        self.rows.append(row)

    def clients(self) -> Clients:
        return Clients(self.target.host, self.target.port)

    async def questions(self) -> list[Question]:
        """The pictures, each with what it is answered on a quiet machine."""
        clients = self.clients()
        asked = []
        for picture in self.pictures:
            request = self.target.request(picture, "image/jpeg")
            answer = await (await clients.wire()).ask(request)
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {answer.body.decode()}")
            asked.append(Question(request, json.loads(answer.body)[0]))
        clients.close()
        return asked

    async def overload(self) -> None:
        """Twice what it can answer, whatever becomes of it."""
        questions = await self.questions()
        clients = self.clients()
        until = time.monotonic() + max(2.0, self.seconds / 6)
        begun = time.monotonic()
        await clients.steadily(questions, 32, lambda: time.monotonic() < until)
        capacity = clients.tally.counts["200"] / (time.monotonic() - begun)
        loud = self.clients()
        begun = time.monotonic()
        await loud.at_a_rate(questions, 2 * capacity, self.seconds)
        rate = loud.tally.counts["200"] / (time.monotonic() - begun)
        note = f"capacity {capacity:.0f}/s, answered {rate:.0f}/s"
        self.add(Row(f"twice its capacity, {self.seconds:g} s", loud.tally, note))

    async def under_load(
        self,
        name: str,
        act: Callable[[], Awaitable[str]],
        allowed: frozenset[str] = RIGHT,
        clients_count: int = 8,
    ) -> None:
        """Do something while clients ask, and go on asking for a while."""
        questions = await self.questions()
        clients = self.clients()
        ends = asyncio.Event()
        load = asyncio.create_task(
            clients.steadily(questions, clients_count, lambda: not ends.is_set())
        )
        await asyncio.sleep(1.0)
        at = time.monotonic()
        note = await act()
        await asyncio.sleep(2.0)
        ends.set()
        await load
        gap = clients.tally.longest_gap_s(at)
        note = f"{note}longest time without an answer {gap:.2f} s" if gap < 100 else note
        self.add(Row(name, clients.tally, note, allowed))

    async def kill(self) -> None:
        async def act() -> str:
            for _ in range(3):
                self.target.kill()
                await asyncio.sleep(2.5)
            await asyncio.to_thread(self.target.wait_until_ready)
            return "3 times; "

        # What the process had in its hands ends with it, and is told so.
        allowed = RIGHT | {"no answer", "500", "424/0", "424/500"}
        await self.under_load("a process killed", act, allowed)

    async def stall(self) -> None:
        """Half a body, and then nothing: others are not kept from their answers."""
        clients = self.clients()
        whole = self.target.request(self.pictures[0], "image/jpeg")
        statuses: list[str] = []

        async def one() -> None:
            wire = await clients.wire()
            wire.send(whole[: len(whole) // 2])
            try:
                statuses.append(str((await wire.answer()).status))
            except NoAnswer:
                statuses.append("closed")

        async def act() -> str:
            await asyncio.wait_for(asyncio.gather(*(one() for _ in range(50))), 3 * STALL_S)
            told = ", ".join(f"{kind}: {statuses.count(kind)}" for kind in sorted(set(statuses)))
            return f"50 that stall got {told}; "

        await self.under_load("clients that stall", act)

    async def malformed(self) -> None:
        """Bodies that are no pictures, between others that are."""
        good = await self.questions()
        asked = [
            Question(self.target.request(body, kind), statuses=self.target.no_picture)
            for body, kind in malformed_bodies(self.pictures[0], self.bodies)
        ]
        clients = self.clients()
        for start in range(0, len(asked), 16):
            some = [*asked[start : start + 16], good[start % len(good)]]
            await asyncio.gather(*(clients.ask(question) for question in some))
        self.add(Row(f"{self.bodies:,} malformed bodies", clients.tally, ""))

    async def run(self) -> None:
        await self.overload()
        await self.kill()
        await self.stall()
        await self.malformed()
        target = self.target
        if isinstance(target, EndpointTarget):

            async def update() -> str:
                begun = time.monotonic()
                await asyncio.to_thread(target.update)
                return f"took {time.monotonic() - begun:.1f} s; "

            await self.under_load("an update", update)


async def last(faults: Faults, target: Target) -> None:
    """What nothing can follow."""

    async def end() -> str:
        if isinstance(target, ReplicaTarget):
            return f"ended with {await asyncio.to_thread(target.end)}; "
        assert isinstance(target, EndpointTarget)
        await asyncio.to_thread(target.delete)
        return ""

    if isinstance(target, ReplicaTarget):
        await faults.under_load("SIGTERM", end, RIGHT | {"not connected"})
    else:
        await faults.under_load("its deletion", end, RIGHT | {"400"})


def main() -> None:
    uvloop.install()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--kind", choices=("pictures", "script"), default="pictures")
    parser.add_argument("--endpoint", metavar="NAME", help="one of the service that runs")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="JPEGs to send")
    parser.add_argument("--delete", action="store_true", help="delete the endpoint at last")
    parser.add_argument("--quick", action="store_true", help="4 s and 200 bodies")
    add_rows_option(parser)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leave no replica behind
    with tempfile.TemporaryDirectory(prefix="clary-faults-") as folder:
        work = Path(folder)
        photos, which = photographs(SHARED_DATA, work)
        pictures = [file.read_bytes() for file in sorted(photos.rglob("val/*/*.jpg"))[:16]]
        if given.pictures is not None:
            pictures = [file.read_bytes() for file in sorted(given.pictures.rglob("*.jp*g"))[:16]]
        target: Target
        if given.endpoint is None:
            target = _replica(given.network, given.kind, photos, work)
        else:
            target = EndpointTarget(given.endpoint)
        print(conditions(date.today().isoformat()))
        print(f"{target.name}; {which}")
        print("| scenario | requests | outcomes | wrong | ms p50 / p99 / most | |")
        print("|---|---|---|---|---|---|", flush=True)
        faults = Faults(target, pictures, quick=given.quick)
        try:
            asyncio.run(_all(faults, target, delete=given.delete))
        except KeyboardInterrupt:
            sys.exit("stopped: the table holds what was measured until then")
        finally:
            if isinstance(target, ReplicaTarget):
                target.end()
            _add_rows(Rows.of("serving_faults", given), faults)
    sys.exit(1 if any(row.wrong for row in faults.rows) else 0)


def _add_rows(rows: Rows, faults: Faults) -> None:
    for row in faults.rows:
        rows.add(
            row.name,
            faults.target.name,
            [row.wrong],
            n=row.tally.sent,
            unit="wrong answers",
            goal=0,
            less=True,
        )


async def _all(faults: Faults, target: Target, *, delete: bool) -> None:
    await faults.run()
    if delete or isinstance(target, ReplicaTarget):
        await last(faults, target)


def _replica(network: str, kind: str, photos: Path, work: Path) -> ReplicaTarget:
    from served_models import make_models

    found = make_models(network, photos, work, int8=False)
    folder = work / "replica"
    folder.mkdir()
    settings = ReplicaSettings.model_validate(
        {
            "endpoint": network,
            "variant": "AllTraffic",
            "instance": "i-1",
            "kind": kind,
            "model": found["model"],
            "converted": found["converted"] if kind == "pictures" else None,
        }
    )
    return ReplicaTarget(folder, settings)


if __name__ == "__main__":
    main()
