"""Replicas as host processes: `clary.jobs.serve` in `clary.jobs.host`.

| method               | what tells it                                                         |
|----------------------|-----------------------------------------------------------------------|
| `start`              | `.launched` is made once: a replica is never started twice            |
| `look`               | the host's lock, `.listening.json` and `.ended.json`                  |
| `answers`            | `GET /ping`                                                           |
| `terminate`, `kill`  | the process id in the lock                                            |

Nothing about a running replica is kept in memory that a new service would not find again.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clary.formats.files import storage_errors
from clary.formats.launch import (
    FIRST_HOST,
    HostEnded,
    HostFiles,
    Isolation,
    Launch,
    host_log,
    launched_marker,
)
from clary.formats.replica import Listening
from clary.service.executors.hosts import HostProcesses
from clary.service.executors.process_groups import kill_hosts, stop_hosts
from clary.service.executors.replica_executor import (
    Alive,
    Over,
    ReplicaSpec,
    Sight,
    Unlaunched,
)
from clary.service.executors.replicas.launching import SERVER, write_launch
from clary.service.executors.replicas.preparation import Preparation
from clary.service.executors.requirements import Requirements
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

PING_S = 2.0
# Handlers that load torch themselves take as long as the warm parent, and slow it down.
WARM_S = 15.0
_LOGS = "logs"
# As jobs' failures begin and end, which is said otherwise of endpoints.
_JOBS_WORDS = re.compile(r"AlgorithmError: (.*), exit code: (\d+)", re.DOTALL)


class ReplicaProcesses:
    """Implements `clary.service.executors.replica_executor.ReplicaExecutor`.

    Thread-safe for different folders.

    Args:
        settings: whose cache keeps converted networks.
        store: the buckets.
        hosts: starts host processes.
        requirements: makes interpreters.
        isolation: what this system allows, asked for when it is needed.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        hosts: HostProcesses,
        requirements: Requirements,
        isolation: Callable[[], Isolation],
    ) -> None:
        self._hosts = hosts
        self._isolation = isolation
        self._preparation = Preparation(settings, store, requirements)

    @property
    def preparation(self) -> Preparation:
        """What prepares models."""
        return self._preparation

    def start(self, spec: ReplicaSpec, *, module: str = SERVER) -> None:
        """Start a replica, once.

        Args:
            spec: the replica.
            module: the program of its host.

        Raises:
            ClaryError: no process can be started.
            StorageError: its folder cannot be written.
        """
        marker = launched_marker(spec.folder)
        if marker.exists():
            return
        files, warm = write_launch(spec, self._isolation(), module=module)
        with storage_errors(marker):
            try:
                with marker.open("x") as file:
                    file.write(str(int(time.time())))
            except FileExistsError:
                return
        lock = files.hold()
        try:
            patience_s = WARM_S if spec.prepared.kind == "script" else 0.0
            self._hosts.start(files, lock, warm=warm, patience_s=patience_s)
        finally:
            os.close(lock)

    def look(self, folder: Path) -> Sight:
        """How the replica of a folder stands.

        Raises:
            FormatError: a file that it wrote is damaged.
        """
        self._hosts.reap()
        if not launched_marker(folder).exists():
            return Unlaunched()
        files = HostFiles(folder)
        if files.is_held():
            listening = Listening.read(folder)
            return Alive(None if listening is None else listening.port)
        ended = HostEnded.read(files)
        if ended is None:
            return Over(
                "its process is gone without having said how it ended: it was killed, or the "
                "machine went down",
                told=False,
            )
        if ended.exit_code == 0:
            return Over("")
        return Over(_in_words(ended))

    def answers(self, port: int) -> bool:
        """Whether the replica says that it serves; it has `PING_S` to say so."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PING_S)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def process(self, folder: Path) -> int | None:
        """The process above all others of a replica that lives."""
        return HostFiles(folder).holder()

    def gpu(self, folder: Path) -> int | None:
        """The GPU that a replica was given; None for none.

        Raises:
            FormatError: what it was told cannot be read.
        """
        files = HostFiles(folder)
        if not files.launch.exists():
            return None
        told = Launch.read(files.launch).environment.get("CUDA_VISIBLE_DEVICES", "")
        return int(told) if told.isdigit() else None

    def log(self, folder: Path) -> Path:
        """Where its log is."""
        return host_log(folder, FIRST_HOST)

    def terminate(self, folder: Path) -> None:
        """Ask a replica to answer what it has accepted, and to end.

        Raises:
            StorageError: it cannot be told.
        """
        if launched_marker(folder).exists():
            stop_hosts([HostFiles(folder)])

    def kill(self, folder: Path) -> None:
        """End all processes of a replica.

        Raises:
            StorageError: it cannot be told.
        """
        if launched_marker(folder).exists():
            kill_hosts([HostFiles(folder)])

    def discard(self, folder: Path) -> None:
        """Delete the folder of a replica that has ended, but for its log.

        Raises:
            StorageError: something in it cannot be deleted.
        """
        if not folder.exists():
            return
        with storage_errors(folder):
            for entry in folder.iterdir():
                if entry.name == _LOGS:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()

    def living(self, root: Path) -> Iterator[Path]:
        """The folders of all replicas below a folder whose hosts live."""
        for lock in root.glob("*/*/*/.lock"):
            if HostFiles(lock.parent).is_held():
                yield lock.parent


def _in_words(ended: HostEnded) -> str:
    said = _JOBS_WORDS.fullmatch(ended.failure or "")
    if said is None:
        return ended.failure or f"it ended with exit code {ended.exit_code}"
    return said[1].strip().removeprefix("clary: ") or f"it ended with exit code {said[2]}"
