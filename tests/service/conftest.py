"""A real service process on a home of its own, and real boto3 clients for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.settings import Settings

START_SECONDS = 120.0
STOP_SECONDS = 120.0


def clean_environment(home: Path) -> dict[str, str]:
    """This process's environment without what points at AWS or at another Clary."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "CLARY_"))}
    # Torch is not loaded behind every test: those that need it warm say so.
    return {**kept, "CLARY_HOME": str(home), "CLARY_WARM": "0", "OMP_NUM_THREADS": "1"}


class RunningService:
    """`python -m clary.service` as a process; `start` and `restart` wait until it accepts."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.settings = Settings(home=home)
        self.environment = {**clean_environment(home), **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.record: ServiceRecord | None = None
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def url(self) -> str:
        assert self.record is not None
        return self.record.url

    @property
    def port(self) -> int:
        assert self.record is not None
        return self.record.port

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def credentials(self) -> Credentials:
        return Credentials.read(self.settings)

    def start(self, port: int = 0) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clary.service", "--port", str(port)],
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.record = ServiceRecord.read(self.settings)
            if self.record is not None and self.record.pid == self.process.pid:
                return
            said = (self.home / "output.txt").read_text()
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended with {self.process.returncode}: {said}")
            assert time.monotonic() < deadline, f"the service does not accept: {said}"
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9: what a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def restart(self) -> None:
        """Start again on the same port, after `kill` or `stop`, or after stopping it now."""
        port = self.port
        self.stop()
        self.start(port)

    def session(self, **changes: Any) -> boto3.session.Session:
        credentials = self.credentials
        arguments = {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "region_name": credentials.region,
        }
        return boto3.session.Session(**{**arguments, **changes})

    def client(self, name: str, **changes: Any) -> Any:
        """A boto3 client of the service. It does not retry, so that every fault is seen.

        Where nothing is changed there is one for all tests: making it takes as long as many calls.
        """
        if changes:
            return self.new_client(name, **changes)
        if (name, self.url) not in self._clients:
            self._clients[name, self.url] = self.new_client(name)
        return self._clients[name, self.url]

    def new_client(self, name: str, **changes: Any) -> Any:
        """The same for one test alone, which may have it behave otherwise."""
        config = Config(retries={"total_max_attempts": 1}).merge(changes.pop("config", Config()))
        arguments = {"endpoint_url": self.url, "config": config, **changes}
        return self.session().client(name, **arguments)

    def resource(self, name: str, **changes: Any) -> Any:
        return self.session().resource(name, endpoint_url=self.url, **changes)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for the tests of a module."""
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[RunningService]:
    """A service that one test may kill and restart."""
    running = RunningService(tmp_path / "home")
    running.start()
    try:
        yield running
    finally:
        running.stop()
