"""A script behind real worker processes, which are started again when they die."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.endpoint.invocation import Invocation, Reply
from clary.endpoint.script_backend import ScriptBackend
from clary.formats.replica import ReplicaSettings
from tests.waiting import PATIENCE_S

COMMAND = (sys.executable, "-m", "clary.endpoint.worker")


@dataclass
class WorkerProcesses:
    """What a replica's parent does: as many workers as there shall be, for as long as it lives."""

    folder: Path
    path: Path
    listener: socket.socket
    environment: Mapping[str, str]
    command: tuple[str, ...]
    ends: list[int] = field(default_factory=list)
    ending: bool = False

    async def keep(self) -> None:
        while not self.ending:
            with (self.folder / "log").open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    str(self.path),
                    str(self.folder),
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
                    start_new_session=True,
                )
            try:
                self.ends.append(await process.wait())
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
            if self.ends[-1] == 0:
                return

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def write_script(folder: Path, script: str, **settings: Any) -> ReplicaSettings:
    """A model folder with a script, and `replica.json`."""
    code = folder / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(script)
    told = ReplicaSettings(
        endpoint="dogs",
        variant="AllTraffic",
        instance="i-1",
        kind="script",
        model=str(folder / "model"),
        **{"workers": 1, **settings},
    )
    told.write(folder)
    return told


@asynccontextmanager
async def worker_processes(
    folder: Path,
    count: int,
    environment: Mapping[str, str] | None = None,
    command: tuple[str, ...] = COMMAND,
) -> AsyncIterator[WorkerProcesses]:
    """So many workers of the replica in a folder, without a server."""
    short = Path(tempfile.mkdtemp(prefix="clary-workers"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(str(short / "workers"))
    listener.listen(16)
    processes = WorkerProcesses(folder, short / "workers", listener, environment or {}, command)
    tasks = [asyncio.create_task(processes.keep()) for _ in range(count)]
    try:
        yield processes
    finally:
        processes.ending = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listener.close()
        shutil.rmtree(short)


@asynccontextmanager
async def served(
    folder: Path, script: str, environment: Mapping[str, str] | None = None, **settings: Any
) -> AsyncIterator[tuple[ScriptBackend, WorkerProcesses]]:
    """A backend that has started, and its workers."""
    told = write_script(folder, script, **settings)
    command = (told.python or sys.executable, *COMMAND[1:])
    async with worker_processes(folder, told.workers or 1, environment, command) as processes:
        backend = ScriptBackend(told, processes.listener)
        await asyncio.wait_for(backend.start(), PATIENCE_S)
        yield backend, processes
        await asyncio.wait_for(backend.close(), PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        # Those that connect later than that have nobody to tell them.
        while 0 not in processes.ends and time.monotonic() < deadline:
            await asyncio.sleep(0.01)


async def ask(
    backend: ScriptBackend, body: bytes = b"", *, seconds: float = PATIENCE_S, **asked: Any
) -> Reply:
    """Ask, with so many seconds to answer."""
    told = {"content_type": "text/csv", "accept": "text/plain", **asked}
    deadline = time.monotonic() + seconds
    return await backend.answer(Invocation(body=body, deadline=deadline, **told))
