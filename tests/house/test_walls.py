"""Floors and walls: imports go down, the towers meet in processes and files only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "stuff"}
OF_NO_ROOM = {"house", "contracts", "clients", "benchmarks", "docs", "examples"}
WITHOUT_TORCH = [
    "clary",
    "clary.cli.main",
    "clary.cli.train",
    "clary.cli.jobs",
    "clary.sdk.training_job",
    "clary.sdk.job_listing",
    "clary.formats.model_archive",
    "clary.vision",
    "clary.vision.datasets",
    "clary.vision.checks",
    "clary.vision.decoding",
    "clary.vision.geometry",
    "clary.endpoint.codecs",
    "clary.endpoint.runtimes",
    "clary.jobs.check",
    "clary.jobs.train",
]


def test_import_linter_keeps_every_contract(root: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "0 broken" in ended.stdout


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_importing_it_loads_no_torch(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "print(sorted({'torch', 'torchvision', 'timm', 'openvino'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


def test_importing_clary_loads_nothing_but_python(root: Path) -> None:
    # That is why it takes a few milliseconds.
    script = (
        "import sys, clary\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}\n"
        "             - sys.stdlib_module_names - {'__main__'}))"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
    )
    assert ended.stdout == "['clary']\n"


def test_no_module_is_named_after_nothing(sources: list[Path]) -> None:
    named = [path for path in sources if FORBIDDEN_NAMES & {path.stem, path.parent.name}]
    assert named == []


def test_tests_mirror_the_rooms(root: Path) -> None:
    rooms = {path.name for path in (root / "tests").iterdir() if path.is_dir()}
    source_rooms = {
        path.name
        for path in (root / "src" / "clary").iterdir()
        if path.is_dir() and (path / "__init__.py").exists()
    }
    assert source_rooms <= rooms
    assert rooms - source_rooms - {"__pycache__"} <= OF_NO_ROOM
