"""What the environment says, read once and frozen.

| variable             | meaning                                        | default                |
|----------------------|------------------------------------------------|------------------------|
| `CLARY_HOME`         | where jobs, buckets, caches and downloads live | `~/.clary`             |
| `CLARY_CACHE_GB`     | what decoded pictures and features may use     | 20                     |
| `CLARY_PORT`         | where the service listens                      | 7788                   |
| `CLARY_MAX_JOBS`     | training jobs that run at once                 | half the cores, from 2 |
| `CLARY_WARM`         | keep torch loaded for the next job: 1 or 0     | 1                      |
| `CLARY_RULE_WEBHOOK` | gets what rules tell people, as JSON by POST   | nobody is told         |
| `CLARY_RULE_COMMAND` | a shell command that gets it on standard input | nobody is told         |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from clary.cores import usable_cores
from clary.errors import UsageError

GIB = 1024**3
DEFAULT_PORT = 7788


class Settings(BaseModel):
    """The settings of one process. Passed to what needs them; there is no global instance."""

    model_config = ConfigDict(frozen=True)

    home: Path
    cache_limit_bytes: int = 20 * GIB
    port: int = DEFAULT_PORT
    max_jobs: int = Field(default_factory=lambda: max(2, usable_cores() // 2))
    warm: bool = True
    rule_webhook: str | None = None
    rule_command: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        Raises:
            UsageError: `CLARY_CACHE_GB` is not a number of at least 0, `CLARY_PORT` no port,
                `CLARY_MAX_JOBS` no whole number of at least 1, `CLARY_WARM` neither 0 nor 1, or
                `CLARY_RULE_WEBHOOK` no URL.
        """
        environment = os.environ if environment is None else environment
        home = Path(environment.get("CLARY_HOME") or "~/.clary").expanduser().absolute()
        text = environment.get("CLARY_CACHE_GB", "20")
        try:
            gigabytes = float(text)
        except ValueError:
            gigabytes = -1.0
        if not 0 <= gigabytes < float("inf"):
            raise UsageError(
                f"CLARY_CACHE_GB is {text!r}: set it to a number of gigabytes, 0 or more"
            )
        wholes = {
            field: _whole(environment, variable, low, high)
            for field, variable, low, high in (
                ("port", "CLARY_PORT", 1, 65535),
                ("max_jobs", "CLARY_MAX_JOBS", 1, 1000),
                ("warm", "CLARY_WARM", 0, 1),
            )
            if environment.get(variable)
        }
        webhook = environment.get("CLARY_RULE_WEBHOOK") or None
        if webhook is not None and not webhook.startswith(("http://", "https://")):
            raise UsageError(
                f"CLARY_RULE_WEBHOOK is {webhook!r}: set it to a URL, which begins with https:// "
                "or http://"
            )
        return cls.model_validate(
            {
                "home": home,
                "cache_limit_bytes": int(gigabytes * GIB),
                "rule_webhook": webhook,
                "rule_command": environment.get("CLARY_RULE_COMMAND") or None,
                **wholes,
            }
        )

    @property
    def jobs_dir(self) -> Path:
        """Holds a directory per job."""
        return self.home / "jobs"

    @property
    def endpoints_dir(self) -> Path:
        """Holds a folder per endpoint, with one for each of its replicas."""
        return self.home / "endpoints"

    @property
    def transforms_dir(self) -> Path:
        """Holds a folder per batch transform job, with one for each of its hosts."""
        return self.home / "transforms"

    @property
    def tuning_dir(self) -> Path:
        """Holds a folder per tuning job, with its record and its report."""
        return self.home / "tuning"

    @property
    def buckets_dir(self) -> Path:
        """Holds a folder per S3 bucket."""
        return self.home / "buckets"

    @property
    def runs_dir(self) -> Path:
        """Holds a folder per run of the whole workflow, with its record."""
        return self.home / "runs"

    @property
    def state_file(self) -> Path:
        """The service's database."""
        return self.home / "state.sqlite"

    @property
    def service_file(self) -> Path:
        """Says where the running service listens: `clary.formats.service_record`."""
        return self.home / "service.json"

    @property
    def service_log(self) -> Path:
        """What the service says while it runs in the background."""
        return self.home / "service.log"

    @property
    def credentials_file(self) -> Path:
        """The keys that requests are signed with; readable by the owner only."""
        return self.home / "credentials.json"

    @property
    def environments_dir(self) -> Path:
        """Holds the Python environments of jobs that bring a `requirements.txt`."""
        return self.cache_dir / "environments"

    @property
    def cache_dir(self) -> Path:
        """Holds what can be computed again: decoded pictures, features, unpacked archives."""
        return self.home / "cache"

    @property
    def datasets_dir(self) -> Path:
        """Holds downloaded data sets."""
        return self.home / "datasets"


def _whole(environment: Mapping[str, str], variable: str, low: int, high: int) -> int:
    text = environment[variable]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise UsageError(f"{variable} is {text!r}: set it to a whole number from {low} to {high}")
    return int(text)
