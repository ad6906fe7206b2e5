"""`make bench`: one table of what all benchmarks find, whatever becomes of one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"

MEASURES = """
import argparse
from rows import Rows, add_rows_option
parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true")
add_rows_option(parser)
given = parser.parse_args()
rows = Rows.of("measures", given)
rows.add("images", "Clary", [3.0, 4.0, 3.6], against="the script", goal=3.5)
rows.add("a watched step", "hook", [1.04, 1.0341], goal=1.03, less=True)
rows.add("a capture", "hook", [46.04], n=28, unit="KB")
rows.add("never measured", "nobody", [])
print("a table of its own")
"""
FAILS = "raise RuntimeError('no such network')"
LEAVES_OUT = "from rows import leave_out\nleave_out('TorchServe needs Java')"
STANDS = """
import pathlib, subprocess, sys, time
training = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
pathlib.Path(__file__).with_suffix('.started').touch()
try:
    time.sleep(600)
finally:
    training.wait()  # told to end as well
    pathlib.Path(__file__).with_suffix('.cleared').touch()
"""


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    import summary  # type: ignore[import-not-found]

    return summary  # type: ignore[no-any-return]


def written(folder: Path, **scripts: str) -> list[Path]:
    """Benchmarks of these contents."""
    for name, content in scripts.items():
        (folder / f"{name}.py").write_text(content)
    return [folder / f"{name}.py" for name in scripts]


def test_one_table_and_the_names_of_those_that_fail(
    summary: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scripts = written(tmp_path, fails=FAILS, leaves_out=LEAVES_OUT, measures=MEASURES)
    found = summary.run_all(scripts, tmp_path / "rows.jsonl")
    assert (found.failed, found.left_out, found.code) == (["fails (1)"], ["leaves_out"], 1)
    lines = str(found).splitlines()
    assert lines[2:5] == [
        "| measures | images | Clary | the script | 3.60 (3.00–4.00) × | 3 | ≥ 3.5 × | yes |",
        "| measures | a watched step | hook | – | 1.037 (1.034–1.040) × | 2 | ≤ 1.03 × | no |",
        "| measures | a capture | hook | – | 46.0 (46.0–46.0) KB | 28 | – | – |",
    ]
    assert lines[-1] == "FAILED: fails (1)"
    said = capfd.readouterr()
    assert "a table of its own" in said.out
    assert "left out: TorchServe needs Java" in said.err


def test_a_quick_run_reaches_no_goal(summary: ModuleType, tmp_path: Path) -> None:
    found = summary.run_all(
        written(tmp_path, measures=MEASURES), tmp_path / "rows.jsonl", quick=True
    )
    assert found.code == 0
    assert "≥ 3.5 × | – |" in str(found)
    assert "yes" not in str(found)


def test_an_interrupted_run_shows_what_it_has(summary: ModuleType, tmp_path: Path) -> None:
    written(tmp_path, measures=MEASURES, stands=STANDS, later=MEASURES)
    program = (
        "import sys, pathlib, summary\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "scripts = [folder / f'{name}.py' for name in ('measures', 'stands', 'later')]\n"
        "found = summary.run_all(scripts, folder / 'rows.jsonl')\n"
        "print(found)\n"
        "sys.exit(found.code)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "stands.started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130
    assert said.count("| measures | images") == 1
    assert "interrupted" in said
    assert (tmp_path / "stands.cleared").exists()


def test_every_benchmark_is_run(summary: ModuleType) -> None:
    takes_rows = {
        file.stem
        for file in FOLDER.glob("*.py")
        if "add_rows_option(parser)" in file.read_text() and "--quick" in file.read_text()
    }
    assert set(summary.BENCHMARKS) == takes_rows
    assert "benchmarks/summary.py" in (ROOT / "Makefile").read_text()


def test_an_unknown_benchmark_is_refused(summary: ModuleType) -> None:
    with pytest.raises(SystemExit) as refused:
        summary.main(["finetune", "fine"])
    assert refused.value.code == 2
