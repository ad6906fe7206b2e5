"""Where the running service listens: `service.json` of the home.

The service writes it once it accepts connections and removes it when it ends in peace. It holds
`service.lock` as long as it lives, so that a record left behind by a killed service is told from
a living one's. Format version 1; see `docs/formats/service_record.md`.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from clary.formats.files import write_text
from clary.formats.records import read_record
from clary.settings import Settings

VERSION = 1


class ServiceRecord(BaseModel):
    """One running service. `version` is Clary's, `started` is UTC in ISO 8601."""

    model_config = ConfigDict(frozen=True)

    format: int = VERSION
    version: str
    pid: int
    host: str
    port: int
    started: str

    @property
    def url(self) -> str:
        """The endpoint of every client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def write(self, settings: Settings) -> None:
        """Replace the record of a home.

        Raises:
            StorageError: the home cannot be written.
        """
        write_text(settings.service_file, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, settings: Settings) -> ServiceRecord | None:
        """The record of the service that runs on a home now; None when none does.

        Raises:
            FormatError: the record is damaged, or of a later version.
        """
        path = settings.service_file
        if not service_is_alive(settings) or not path.exists():
            return None
        return read_record(cls, path, VERSION, "the record of a service", key="format")

    @staticmethod
    def remove(settings: Settings) -> None:
        """Take the record away: nobody listens any more."""
        with suppress(OSError):
            settings.service_file.unlink()


def utc_now() -> str:
    """The time as records bear it, to the second."""
    return datetime.now(tz=timezone.utc).isoformat(timespec="seconds")


def lock_path(settings: Settings) -> Path:
    """The file that the running service holds with an exclusive flock."""
    return settings.home / "service.lock"


def service_is_alive(settings: Settings) -> bool:
    """Whether a service holds the home: one that starts, runs or ends."""
    try:
        with lock_path(settings).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    return False
