"""Python environments for scripts that bring requirements: layers over this interpreter's.

A layer is shared by all jobs with the same `requirements.txt` on the same interpreter; scripts
that are packages themselves (`setup.py`), whose requirements name files beside them, or that
install something while they run, get one of their own. `clary.jobs.layer` does the work.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from clary.errors import ClaryError
from clary.formats.files import storage_errors

REQUIREMENTS = "requirements.txt"
_COMPLETE = ".complete"
# Lines that speak of files beside the requirements: the same text can mean other things.
_LOCAL = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable", ".", "/", "file:")
# `pip install …` in a shell, ["-m", "pip", "install", …], pip.main([…])
_PIP = re.compile(r"""\bpip3?["',\s]+install\b|\bpip\.main\b""")


_POLL_S = 0.05
_STOPPED = "the installation of the requirements was stopped"


class Requirements:
    """Makes layers. Thread-safe: jobs with the same requirements wait for one another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._installing: dict[str, subprocess.Popen[str]] = {}
        self._cancelled: set[str] = set()

    def python_for(self, job: str, code: Path, own: Path) -> str:
        """The interpreter that has what a script needs: this one where it needs nothing more.

        Args:
            job: what stands for the job in `cancel`.
            code: the script's folder.
            own: where a layer of the job's own goes.

        Raises:
            ClaryError: something cannot be installed, or `cancel` came in between.
            StorageError: the layer cannot be written.
        """
        listed = code / REQUIREMENTS
        package = (code / "setup.py").is_file()
        words = ["."] if package else []
        lines: list[str] = []
        if listed.is_file():
            words += ["-r", REQUIREMENTS]
            lines = _meaningful_lines(listed)
        installs = _installs_by_itself(code)
        if not package and not lines and not installs:
            return sys.executable
        if package or installs or any(line.startswith(_LOCAL) for line in lines):
            return self._complete_layer(job, own, code, words)
        return self._complete_layer(job, self._folder / _fingerprint(lines), code, words)

    def empty_layer(self, job: str, own: Path) -> str:
        """The interpreter of a job's own layer, into which the job may install by itself.

        Raises:
            ClaryError: the layer cannot be made.
            StorageError: it cannot be written.
        """
        return self._complete_layer(job, own, Path("/"), ())

    def cancel(self, job: str) -> None:
        """End the installation that a job waits for, and refuse any that it begins later."""
        with self._lock:
            self._cancelled.add(job)
            process = self._installing.get(job)
        if process is not None:
            _end_group(process.pid)

    def forget(self, job: str) -> None:
        """The job is gone, and with it that it was cancelled."""
        with self._lock:
            self._cancelled.discard(job)

    def _complete_layer(self, job: str, layer: Path, code: Path, words: Sequence[str]) -> str:
        with storage_errors(layer):
            layer.parent.mkdir(parents=True, exist_ok=True)
            lock = (layer.parent / f".{layer.name}.lock").open("w")
        with lock:
            self._wait_for(lock, job)
            if not (layer / _COMPLETE).exists():
                shutil.rmtree(layer, ignore_errors=True)
                self._install(job, layer, code, words, lock.fileno())
                with storage_errors(layer):
                    (layer / _COMPLETE).touch()
        return str(layer / "bin" / "python")

    def _wait_for(self, lock: IO[str], job: str) -> None:
        """Take the lock; while another job installs the same, a stop has to count."""
        while True:
            with self._lock:
                self._refuse_if_cancelled(job)
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_POLL_S)

    def _refuse_if_cancelled(self, job: str) -> None:
        if job in self._cancelled:
            raise ClaryError(_STOPPED)

    def _install(self, job: str, layer: Path, code: Path, words: Sequence[str], lock: int) -> None:
        """Fill a layer. The process keeps the lock, so that a new service waits for its end."""
        command = [sys.executable, "-m", "clary.jobs.layer", str(layer)]
        with self._lock:
            self._refuse_if_cancelled(job)
            process = subprocess.Popen(
                [*command, *(("install", *words) if words else ())],
                cwd=code,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                pass_fds=[lock],
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
            self._installing[job] = process
        try:
            _, said = process.communicate()
        finally:
            with self._lock:
                del self._installing[job]
        if process.returncode < 0:
            raise ClaryError(_STOPPED)
        if process.returncode != 0:
            raise ClaryError(said.strip().removeprefix("clary: "))


def _installs_by_itself(code: Path) -> bool:
    """Whether a script speaks of pip: it must not install into this interpreter."""
    return any(
        _PIP.search(path.read_text(encoding="utf-8", errors="replace"))
        for pattern in ("*.py", "*.sh")
        for path in code.rglob(pattern)
        if path.is_file()
    )


def _meaningful_lines(listed: Path) -> list[str]:
    text = listed.read_text(encoding="utf-8", errors="replace")
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _fingerprint(lines: Sequence[str]) -> str:
    """Of the requirements, the interpreter, and what the interpreter has already."""
    packages = Path(sysconfig.get_path("purelib"))
    installed = sorted(entry.name for entry in packages.glob("*.dist-info"))
    parts = (sys.executable, sys.version, *lines, "", *installed)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
