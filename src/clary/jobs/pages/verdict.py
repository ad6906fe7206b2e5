"""What a report begins with: how it went, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """Something to try, why, and the command where there is one."""

    what: str
    why: str
    command: str | None = None


@dataclass(frozen=True)
class Verdict:
    """A headline, the sentences beneath it, and what to try next."""

    headline: str
    sentences: tuple[str, ...]
    advice: tuple[Advice, ...]
