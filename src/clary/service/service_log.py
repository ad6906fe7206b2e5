"""The service's log: lines with their time in a file that is bounded.

Request lines do not go through `logging`, whose records would cost a third of a small request.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from clary.formats.files import storage_errors

LIMIT_BYTES = 16 << 20


class ServiceLog:
    """Appends to `path`; at the limit the file becomes `<path>.1` and a new one begins.

    Safe from any thread. A log that cannot be written any more, on a full disk, stays as it is:
    requests go on.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        """Open the log.

        Raises:
            StorageError: the file cannot be written.
        """
        self._path = path
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._second = 0
        self._prefix = ""
        with storage_errors(path):
            self._descriptor = self._open(path)
            self._size = os.fstat(self._descriptor).st_size

    def write(self, level: str, text: str) -> None:
        """Append one entry; of several lines, the later ones are indented."""
        now = time.time()
        with self._lock:
            if int(now) != self._second:
                self._second = int(now)
                self._prefix = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            line = f"{self._prefix}.{int(now * 1000) % 1000:03} {level} {text}\n"
            data = line.replace("\n", "\n    ", line.count("\n") - 1).encode("utf-8", "replace")
            try:
                os.write(self._descriptor, data)
                self._size += len(data)
                if self._size >= self._limit_bytes:
                    self._begin_anew()
            except OSError:
                return

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _begin_anew(self) -> None:
        """Give the descriptor a new file. It is never closed, or it would become another's."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        descriptor = self._open(fresh)
        try:
            with suppress(FileNotFoundError):  # somebody has removed it
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            fresh.replace(self._path)
            os.dup2(descriptor, self._descriptor, inheritable=False)
            self._size = 0
        finally:
            os.close(descriptor)


class LogHandler(logging.Handler):
    """Takes what the libraries and the service's own parts log into the service's log."""

    def __init__(self, log: ServiceLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its traceback."""
        try:
            self._log.write(record.levelname, self.format(record))
        except Exception:  # noqa: BLE001 - how logging wants its own failures handled
            self.handleError(record)
