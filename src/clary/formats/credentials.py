"""The keys that requests to the service are signed with: `credentials.json` of the home.

Made once, by whoever needs them first; the owner alone can read them. Format version 1; see
`docs/formats/credentials.md`.
"""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from pydantic import BaseModel, ConfigDict

from clary.errors import UsageError
from clary.formats.files import storage_errors
from clary.formats.records import read_record
from clary.settings import Settings

VERSION = 1
DEFAULT_REGION = "us-east-1"
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}")


class Credentials(BaseModel):
    """An access key of 20 characters, its secret of 40, and the region that the service plays."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    access_key: str
    secret_key: str
    region: str

    def __repr__(self) -> str:
        """Without the secret, which must not reach a log."""
        return f"Credentials(access_key={self.access_key!r}, region={self.region!r})"

    __str__ = __repr__

    @classmethod
    def ensure(
        cls, settings: Settings, environment: Mapping[str, str] | None = None
    ) -> Credentials:
        """Read the credentials of a home; make them at the first use.

        Processes that come at once all get the same ones. The region of new ones is what
        `AWS_REGION` or `AWS_DEFAULT_REGION` say, or us-east-1.

        Raises:
            FormatError: the file is damaged, or of a later version.
            StorageError: the home cannot be written.
            UsageError: the environment's region is no region's name.
        """
        path = settings.credentials_file
        if not path.exists():
            environment = os.environ if environment is None else environment
            _publish(path, cls.generate(_region(environment)).model_dump_json(indent=2) + "\n")
        return cls.read(settings)

    @classmethod
    def generate(cls, region: str) -> Credentials:
        """New random ones."""
        characters = string.ascii_uppercase + "234567"
        return cls(
            access_key="AKIA" + "".join(secrets.choice(characters) for _ in range(16)),
            secret_key=secrets.token_urlsafe(30),
            region=region,
        )

    @classmethod
    def read(cls, settings: Settings) -> Credentials:
        """Read the credentials of a home.

        Raises:
            FormatError: the file is missing, damaged, or of a later version.
        """
        path = settings.credentials_file
        remedy = "remove it, and new ones are made"
        return read_record(cls, path, VERSION, "a file of credentials", remedy=remedy)


def _region(environment: Mapping[str, str]) -> str:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        return DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise UsageError(
            f"AWS_REGION is {region!r}: set it to the name of a region, such as {DEFAULT_REGION}"
        )
    return region


def _publish(path: Path, text: str) -> None:
    """Give `path` its content unless another process was first; readable by the owner only."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink()
