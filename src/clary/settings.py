"""What the environment says, read once and frozen.

| variable         | meaning                                            | default    |
|------------------|----------------------------------------------------|------------|
| `CLARY_HOME`     | where jobs, caches and downloads live              | `~/.clary` |
| `CLARY_CACHE_GB` | the most that decoded pictures and features may use | 20        |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from clary.errors import UsageError

GIB = 1024**3


class Settings(BaseModel):
    """The settings of one process. Passed to what needs them; there is no global instance."""

    model_config = ConfigDict(frozen=True)

    home: Path
    cache_limit_bytes: int = 20 * GIB

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        Raises:
            UsageError: `CLARY_CACHE_GB` is not a number of at least 0.
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
        return cls(home=home, cache_limit_bytes=int(gigabytes * GIB))

    @property
    def jobs_dir(self) -> Path:
        """Holds a directory per job."""
        return self.home / "jobs"

    @property
    def cache_dir(self) -> Path:
        """Holds what can be computed again: decoded pictures, features, unpacked archives."""
        return self.home / "cache"

    @property
    def datasets_dir(self) -> Path:
        """Holds downloaded data sets."""
        return self.home / "datasets"
