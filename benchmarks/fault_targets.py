"""What faults are made on: a replica of its own, or an endpoint of a service that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from clary.formats.credentials import Credentials
from clary.formats.launch import HostFiles
from clary.formats.replica import Listening, ReplicaSettings
from clary.formats.service_record import ServiceRecord
from clary.settings import Settings
from fault_bodies import NO_PICTURE

_PATIENCE_S = 120.0


class Target(Protocol):
    """Where requests go, and what can be done to it."""

    name: str
    host: str
    port: int
    # What a body that is no picture is answered with.
    no_picture: frozenset[str]

    def request(self, body: bytes, content_type: str) -> bytes:
        """A whole request."""

    def kill(self) -> None:
        """Kill a process that answers, in the hardest way."""

    def wait_until_ready(self) -> None:
        """Return when it serves."""


class ReplicaTarget:
    """`python -m clary.jobs.serve` on a folder of its own."""

    def __init__(self, folder: Path, settings: ReplicaSettings) -> None:
        settings.write(folder)
        # Handlers raise, and what they raise is the answer.
        self.no_picture = NO_PICTURE | ({"500"} if settings.kind == "script" else set())
        self.name = f"a replica of {settings.kind}"
        self.host = settings.address
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clary.jobs.serve", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=(folder / "output").open("wb"),
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the benchmark, which ends the replica then.
            start_new_session=True,
        )
        self._kind = settings.kind
        self.port = 0
        self.wait_until_ready()

    def request(self, body: bytes, content_type: str) -> bytes:
        return _request("/invocations", body, {"host": self.host, "content-type": content_type})

    def kill(self) -> None:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # The first is the server, the others are workers.
        os.kill(int(children[-1 if self._kind == "script" else 0]), signal.SIGKILL)

    def wait_until_ready(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError):
                listening = Listening.read(self.folder)
                if listening is not None:
                    self.port = listening.port
                    urllib.request.urlopen(f"http://{self.host}:{self.port}/ping", timeout=5)
                    return
            time.sleep(0.02)
        raise SystemExit((self.folder / "output").read_text())

    def end(self) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE_S)


class EndpointTarget:
    """An endpoint of the service of this home; requests are signed as boto3 signs them."""

    no_picture = frozenset({f"424/{status}" for status in NO_PICTURE} | {"400"})

    def __init__(self, name: str) -> None:
        self.name = name
        self._settings = Settings.from_environment()
        record = ServiceRecord.read(self._settings)
        if record is None:
            raise SystemExit("no service runs: `clary up` starts it")
        self._url = record.url
        place = urlsplit(record.url)
        self.host, self.port = place.hostname or "127.0.0.1", place.port or 80
        keys = Credentials.ensure(self._settings)
        self._region = keys.region
        self._keys = Keys(keys.access_key, keys.secret_key)
        self.client: Any = boto3.client(
            "sagemaker",
            endpoint_url=self._url,
            region_name=keys.region,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
        )

    def request(self, body: bytes, content_type: str) -> bytes:
        path = f"/endpoints/{self.name}/invocations"
        asked = AWSRequest("POST", self._url + path, {"Content-Type": content_type}, body)
        SigV4Auth(self._keys, "sagemaker", self._region).add_auth(asked)
        headers = {name.lower(): value for name, value in asked.headers.items()}
        return _request(path, body, {"host": urlsplit(self._url).netloc, **headers})

    def kill(self) -> None:
        """Kill a replica's host, and so all of it."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            for host in self._hosts():
                with suppress(ProcessLookupError):
                    return os.kill(host, signal.SIGKILL)
            time.sleep(0.05)  # the one that was killed before is replaced just now
        raise SystemExit(f"no replica of {self.name} is alive to be killed")

    def _hosts(self) -> list[int]:
        """The processes of its replicas that are alive."""
        found = []
        for lock in sorted((self._settings.home / "endpoints" / self.name).rglob(".lock")):
            with suppress(OSError):  # the folder of one that has ended goes at any moment
                holder = HostFiles(lock.parent).holder()
                found += [] if holder is None else [holder]
        return found

    def wait_until_ready(self) -> None:
        self.client.get_waiter("endpoint_in_service").wait(
            EndpointName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": int(_PATIENCE_S)}
        )

    def update(self) -> None:
        """Put a fleet of the same configuration in the place of this one."""
        old = self.client.describe_endpoint(EndpointName=self.name)["EndpointConfigName"]
        config = self.client.describe_endpoint_config(EndpointConfigName=old)
        name = f"{old[:40]}-{int(time.time())}"
        self.client.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=config["ProductionVariants"]
        )
        self.client.update_endpoint(EndpointName=self.name, EndpointConfigName=name)
        self.wait_until_ready()

    def delete(self) -> None:
        """Delete it, and wait until it is gone."""
        self.client.delete_endpoint(EndpointName=self.name)
        self.client.get_waiter("endpoint_deleted").wait(
            EndpointName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": int(_PATIENCE_S)}
        )


def _request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
