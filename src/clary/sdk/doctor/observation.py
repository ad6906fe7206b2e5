"""What a look at this machine has found, and how much it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clary.settings import Settings

# ok: as it should be; note: works, and is worth knowing; warning: something will go wrong or be
# slow; fault: something prevents work.
Level = Literal["ok", "note", "warning", "fault"]


@dataclass(frozen=True)
class Observation:
    """One thing that was looked at.

    Args:
        name: what it is, in one word or two.
        found: what it is like here.
        meaning: what that means, in half a sentence.
        level: how much it matters.
        remedy: what to do about it; None where there is nothing to do.
    """

    name: str
    found: str
    meaning: str
    level: Level = "ok"
    remedy: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What the looks are given: the settings, and the environment that they were read from."""

    settings: Settings
    environment: Mapping[str, str]


def sized(count: float) -> str:
    """A number of bytes for people, such as 1.5 GB."""
    units = ["bytes", "KB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return (
        f"{count:.0f} {units[0]}"
        if count >= 100 or units[0] == "bytes"
        else f"{count:.1f} {units[0]}"
    )
