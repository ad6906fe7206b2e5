"""Nothing that is tracked depends on one machine or one registry, or is too large."""

from __future__ import annotations

import re
from pathlib import Path

# Written in pieces, so that this file does not find itself.
REGISTRIES = re.compile(
    "|".join(
        ["py" + r"pi\.org", "python" + r"hosted\.org", "registry" + r"\.npmjs", r"deb\.deb" + "ian"]
    )
)
MACHINES = re.compile(r"(?<![\w.~])/" + r"(?:work|farm|root|home/\w+|Users/\w+)/")
LARGEST = 1_000_000


def test_no_registry_is_named(tracked: list[Path], root: Path) -> None:
    named = [path.relative_to(root) for path in tracked if REGISTRIES.search(path.read_text())]
    assert named == []


def test_no_machine_is_named(tracked: list[Path], root: Path) -> None:
    named = [path.relative_to(root) for path in tracked if MACHINES.search(path.read_text())]
    assert named == []


def test_no_file_is_large(tracked: list[Path], root: Path) -> None:
    assert [path.relative_to(root) for path in tracked if path.stat().st_size > LARGEST] == []


def test_pins_are_versions_and_nothing_else(root: Path) -> None:
    lines = (root / "requirements" / "locked.txt").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9.-]+==[\w.+!-]+( ; .+)?", line), line


def test_every_dependency_is_pinned(root: Path) -> None:
    wanted = set()
    for line in (root / "pyproject.toml").read_text().splitlines():
        found = re.match(r'\s*(?:onnx = \[)?"([a-z0-9-]+)>=', line)
        if found:
            wanted.add(found[1])
    pinned = {
        line.split("==")[0] for line in (root / "requirements/locked.txt").read_text().splitlines()
    }
    assert wanted
    assert wanted <= pinned
