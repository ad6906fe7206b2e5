"""Paths as a person writes them: below the home folder they begin with ~."""

from __future__ import annotations

from pathlib import Path


def short_path(path: Path) -> str:
    """`~/.clary/jobs/photos` for a path below the home folder; any other one as it is."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
