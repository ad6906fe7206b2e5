"""What jobs tell pip is understood by what installs in its place."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "flags",
    [
        "--root-user-action=ignore --no-warn-script-location --progress-bar off --timeout 60",
        "-Uq --retries=3 --default-timeout 100 --no-input --prefer-binary --user -qqq",
        "--upgrade-strategy only-if-needed -I --disable-pip-version-check --no-cache-dir",
    ],
)
def test_flags_that_only_pip_knows_are_dropped(tmp_path: Path, flags: str) -> None:
    wheel = tmp_path / "tiny_requirement-1.0-py3-none-any.whl"
    about = "tiny_requirement-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_requirement.py", "answer = 42\n")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-requirement\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    layer = tmp_path / "layer"
    command = [sys.executable, "-m", "clary.jobs.layer", str(layer), "install", *flags.split()]
    ended = subprocess.run([*command, str(wheel)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert list(layer.glob("lib/*/site-packages/tiny_requirement.py"))


def test_what_would_change_the_outcome_is_refused_by_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "clary.jobs.layer", str(tmp_path / "layer"), "install"]
    ended = subprocess.run(
        [*command, "--proxy", "http://127.0.0.1:9", "numpy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1 and "'--proxy'" in ended.stderr
