"""From a JPEG's bytes to probabilities over HTTP: Clary beside the servers that people use.

Contestants take turns: each is started, answers its first picture, warms up, is loaded by 1, 8 and
32 clients on the same machine, and ends. What counts is the ratio to the first contestant within a
round. All serve one network with the same weights; each has an environment of its own, with its
newest release. What a server computes in is its default: fp32 for all of torch's.

    python benchmarks/serving.py [--network resnet18] [--rounds 3] [--seconds 8] [--only NAME…]
                                 [--quick]

The limit is the work of Clary's server without HTTP, taken behind each of its turns. CPU is what
all processes of the server have used for an answer. A contestant that cannot be had here
(TorchServe needs Java) is named and left out. Ctrl-C ends the race: what was measured is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from clary.formats.replica import ReplicaSettings
from measuring import busy_seconds, conditions
from photographs import SHARED_DATA, photographs
from rows import Rows, add_rows_option
from served_models import CLASSES, make_models
from servers.load import body_of
from serving_environments import environment_python
from serving_processes import MARKER, end, processes_of
from serving_table import CONCURRENCIES, Turn, add_rows, limits, table

SERVERS = Path(__file__).parent / "servers"
PATIENCE_S = 180.0


@dataclass
class Contestant:
    """A server: where its environment is, how it is started, how pictures travel to it."""

    name: str
    program: str
    environment: str | None = None
    form: str = "raw"
    path: str = "/predict"
    variables: Mapping[str, str] = field(default_factory=dict)
    precision: str | None = None
    turns: list[Turn] = field(default_factory=list)

    def command(self, port: int, folder: Path) -> list[str]:
        """What starts it."""
        if self.environment is None:
            return [sys.executable, "-m", self.program, str(folder)]
        python = environment_python(self.environment)
        if self.program == "bentoml_torch":
            bentoml = [str(python.parent / "bentoml"), "serve", "bentoml_torch:Classifier"]
            return [*bentoml, "--host", "127.0.0.1", "--port", str(port)]
        return [str(python), str(SERVERS / f"{self.program}.py"), str(port), str(folder)]


def clary(precision: str) -> Contestant:
    """Clary's server in one precision."""
    return Contestant(
        f"Clary {precision}", "clary.jobs.serve", path="/invocations", precision=precision
    )


def contestants() -> list[Contestant]:
    """All of them; the first one is what the others are compared with."""
    batches = {"BATCH": "8"}
    return [
        Contestant("FastAPI + torch", "fastapi_torch", "fastapi"),
        Contestant("FastAPI + torch bf16", "fastapi_torch", "fastapi", variables={"BF16": "1"}),
        Contestant("FastAPI + OpenVINO bf16", "fastapi_openvino", "fastapi", precision="bf16"),
        Contestant("FastAPI + OpenVINO int8", "fastapi_openvino", "fastapi", precision="int8"),
        Contestant("LitServe", "litserve_torch", "litserve", form="base64"),
        Contestant("LitServe, batches", "litserve_torch", "litserve", "base64", variables=batches),
        Contestant("BentoML", "bentoml_torch", "bentoml", form="multipart"),
        Contestant("BentoML, batches", "bentoml_torch", "bentoml", "multipart", variables=batches),
        Contestant("Ray Serve", "ray_serve_torch", "ray"),
        Contestant("Ray Serve, batches", "ray_serve_torch", "ray", variables=batches),
        Contestant("TorchServe", "torchserve_torch", "torchserve", path="/predictions/predict"),
        clary("fp32"),
        clary("bf16"),
        clary("int8"),
    ]


def main() -> None:
    """Let them race, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=("resnet18", "resnet50"), default="resnet18")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="parts of names")
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    add_rows_option(parser)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leave no server behind
    racing = contestants()
    if given.quick:
        given.rounds, given.seconds = 1, 1.0
        racing = [one for one in racing if one.name in {"FastAPI + torch", "Clary bf16"}]
    if given.only:
        wanted = [part.lower() for part in given.only]
        racing = [one for one in racing if any(part in one.name.lower() for part in wanted)]
    with tempfile.TemporaryDirectory(prefix="clary-serving-") as work:
        photos, about = photographs(given.data, Path(work))
        pictures = Path(work) / "pictures"
        pictures.mkdir()
        for number, file in enumerate(typical(photos)):
            shutil.copy(file, pictures / f"{number:02}.jpg")
        precisions = {one.precision for one in racing}
        served = make_models(given.network, photos, Path(work), int8="int8" in precisions)
        race = Race(Path(work), pictures, given.seconds, served, given.network)
        stopped = False
        try:
            race.run(racing, given.rounds)
        except KeyboardInterrupt:
            stopped = True
        size = statistics.mean(file.stat().st_size for file in pictures.iterdir()) / 1000
        print(conditions(f"{date.today()}"))
        print(
            f"{given.network}, 224 px, {size:.0f} KB a picture, {about}; clients on the same cores"
        )
        racing = [one for one in racing if one.turns]
        if racing:
            print(table(racing))
        for line in (*limits(racing), *race.left_out):
            print(line)
        add_rows(Rows.of("serving", given), racing, given.network)
    if stopped:
        sys.exit("stopped: the table holds what was measured until then")


def typical(photos: Path, count: int = 24) -> list[Path]:
    """Pictures whose files are nearest to 120 KB."""
    files = sorted((photos / "train").glob("*/*.jpg"))
    return sorted(files, key=lambda file: abs(file.stat().st_size - 120_000))[:count]


class Race:
    """What turns have in common."""

    def __init__(
        self,
        work: Path,
        pictures: Path,
        seconds: float,
        served: Mapping[str, str],
        network: str,
    ) -> None:
        self._work = work
        self._pictures = pictures
        self._seconds = seconds
        self._served = served
        self._network = network
        self.left_out: list[str] = []

    def run(self, racing: Sequence[Contestant], rounds: int) -> None:
        """Let all of them take turns; the order turns every round."""
        for number in range(rounds):
            for one in racing if number % 2 == 0 else racing[::-1]:
                self._turn(one)
            print(f"round {number + 1}/{rounds}", file=sys.stderr, flush=True)

    def _turn(self, one: Contestant) -> None:
        """Start a contestant, load it, and end it; one that does not answer is left out."""
        if any(line.startswith(f"{one.name}:") for line in self.left_out):
            return
        try:
            with self._running(one) as (port, turn):
                self._load(one, port, 8, 2.0, Turn(0.0))
                for clients in CONCURRENCIES:
                    self._load(one, port, clients, self._seconds, turn)
                turn.not_a_picture = str(asked(port, one, b"no picture at all")[0])
            if one.environment is None:
                turn.limit = self._limit(str(one.precision))
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            self.left_out.append(f"{one.name}: left out, {error}")
            return
        one.turns.append(turn)

    def _limit(self, precision: str) -> float:
        """Pictures a second without HTTP."""
        folder = self._replica(precision, 0)
        command = [sys.executable, str(SERVERS / "limit.py")]
        said = subprocess.run(
            [*command, str(folder), str(self._pictures), str(self._seconds)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
        found = json.loads(said)
        return float(found["pictures"] / found["seconds"])

    @contextmanager
    def _running(self, one: Contestant) -> Iterator[tuple[int, Turn]]:
        port = free_port()
        own = Path(tempfile.mkdtemp(dir=self._work))
        folder = self._replica(one.precision or "fp32", port) if one.environment is None else own
        said = (own / "said.txt").open("wb")
        token = f"{os.getpid()}-{port}"
        begun = time.perf_counter()
        process = subprocess.Popen(
            one.command(port, folder),
            cwd=SERVERS if one.environment else "/",
            env={
                **os.environ,
                **one.variables,
                MARKER: token,
                "NETWORK": self._network,
                "CLASSES": str(CLASSES),
                "WEIGHTS": self._served["weights"],
                "OPENVINO": self._served.get("int8" if one.precision == "int8" else "fp32", ""),
                "PRECISION": "bf16" if one.precision == "bf16" else "f32",
                "BENTOML_DO_NOT_TRACK": "True",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            self._wait_for_answer(one, port, process, own / "said.txt")
            turn = Turn(time.perf_counter() - begun)
            yield port, turn
            turn.memory = sum(peak for _, peak, _ in processes_of(token))
        finally:
            end(process, token)
            said.close()

    def _wait_for_answer(
        self, one: Contestant, port: int, process: subprocess.Popen[bytes], said: Path
    ) -> None:
        body = next(iter(sorted(self._pictures.iterdir()))).read_bytes()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"it ended: {said.read_text(errors='replace').strip()[-300:]}")
            try:
                status, answer = asked(port, one, body)
            except OSError:
                status, answer = 0, b""
            if status == 200:
                return require_probabilities(answer)
            time.sleep(0.02)
        raise RuntimeError(f"it did not answer within {PATIENCE_S:.0f} s")

    def _load(self, one: Contestant, port: int, clients: int, seconds: float, turn: Turn) -> None:
        token = f"{os.getpid()}-{port}"
        busy, used = busy_seconds(), sum(cpu for _, _, cpu in processes_of(token))
        said = subprocess.run(
            [
                *(sys.executable, str(SERVERS / "load.py"), str(port), one.path, one.form),
                *(str(clients), str(seconds), str(self._pictures)),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
        used = sum(cpu for _, _, cpu in processes_of(token)) - used
        found = json.loads(said)
        good = found["statuses"].get("200", 0)
        turn.failed += sum(found["statuses"].values()) - good
        turn.rates[clients] = good / found["seconds"]
        turn.latencies_ms[clients] = found["latencies_ms"]
        turn.cpu_ms[clients] = 1000 * used / max(1, good)
        others = busy_seconds() - busy - used - found["cpu_s"]
        turn.others = max(turn.others, others / found["seconds"])

    def _replica(self, precision: str, port: int) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._work))
        ReplicaSettings(
            endpoint="race",
            variant="AllTraffic",
            instance="i-race",
            kind="pictures",
            model=self._served["model"],
            converted=self._served["converted"],
            precision=precision,
            port=port,
        ).write(folder)
        return folder


def asked(port: int, one: Contestant, body: bytes) -> tuple[int, bytes]:
    """Status and body of one answer."""
    content, kind = body_of(body, one.form)
    headers = {"Content-Type": kind, "Accept": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{one.path}", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def require_probabilities(answer: bytes) -> None:
    """An answer has to hold at least five probabilities, whatever its form."""
    values: list[float] = []
    waiting = [json.loads(answer)]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
        elif isinstance(found, float):
            values.append(found)
    if len(values) < 5 or not 0 < sum(values) < 1.01:
        raise RuntimeError(f"it answered {answer[:200]!r}, which are no probabilities")


def free_port() -> int:
    """A port nobody listens on, with two free ones behind it as far as one can tell."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
