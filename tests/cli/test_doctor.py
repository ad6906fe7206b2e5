"""`clary doctor`, as a person and as a program run it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from clary.sdk.doctor.examination import LOOKS


def doctor(
    environment: Mapping[str, str], *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clary", "doctor", *words],
        env={**environment, "HF_HUB_OFFLINE": "1", **more},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_it_says_what_it_found_and_what_to_do(
    clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    ended = doctor(clary_environment, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert (told["format"], told["works"]) == (1, True)
    names = [one["name"] for one in told["observations"]]
    assert {"python", "packages", "cores", "memory", "weights", "service"} <= set(names)
    assert len(names) >= len(LOOKS) - 1
    assert not (tmp_path / "home").exists()


def test_what_prevents_work_is_an_exit_code(
    clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file where the home should be")
    ended = doctor(clary_environment)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert any(line.startswith("fault    home") for line in lines)
    assert lines[-1].startswith("Most worth doing: home: name a folder of yours")
    assert ended.stderr == ""


def test_settings_that_are_wrong_are_one_of_the_faults(
    clary_environment: Mapping[str, str],
) -> None:
    ended = doctor(clary_environment, "--json", CLARY_WARM="perhaps")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["advice"] == "set or unset that variable"


def test_a_terminal_shows_a_table_that_fits(clary_environment: Mapping[str, str]) -> None:
    terminal, other_side = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "clary", "doctor"],
        env={**clary_environment, "HF_HUB_OFFLINE": "1", "TERM": "xterm", "COLUMNS": "60"},
        stdin=subprocess.DEVNULL,
        stdout=other_side,
    ) as process:
        os.close(other_side)
        shown = b""
        with suppress(OSError):  # what a terminal answers when the other side has gone
            while block := os.read(terminal, 65536):
                shown += block
    os.close(terminal)
    assert process.returncode == 0
    *table, advice = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()
    assert advice.startswith("Most worth doing: ")
    assert max(map(len, table)) <= 60
    assert any(line.startswith("ok ") for line in table)
