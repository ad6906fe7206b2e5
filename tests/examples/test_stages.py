"""The table of the stages, and where its seconds come from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import ClientEnvironment
from tests.examples.conftest import KERNEL, jupyter_folders
from tests.examples.notebooks import Notebook
from tests.examples.stages import PROPERTY, markdown_lines, rows_of, text_lines


def report(outcome: str, *properties: tuple[str, Any], when: str = "call") -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="a test",
        location=("file", 1, "a test"),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when=when,
        user_properties=properties,
    )


def carried(folder: str, **seconds: float) -> tuple[str, Any]:
    return PROPERTY, {"title": f"The {folder}", "folder": folder, "seconds": seconds}


def test_what_reports_carry_becomes_a_table() -> None:
    later = carried("second", data=1, tune=20.04)
    rows = rows_of(
        [
            report("failed", later),
            report("passed", later, when="teardown"),
            report("passed", ("of another kind", 1)),
            report("passed", carried("first", debug=0.03, predict=2.26)),
        ]
    )
    assert [line.split() for line in text_lines(rows)] == [
        ["data", "tune", "train", "debug", "profile", "deploy", "predict", "all"],
        ["first", "<0.1", "2.3", "2.3", "passed"],
        ["second", "1.0", "20.0", "21.0", "failed"],
    ]
    head, rule, first, second = markdown_lines(rows)
    assert {line.count("|") for line in (head, rule, first, second)} == {11}
    assert second.split("|")[1:4] == [" The second (`second`) ", " 1.0 ", " 20.0 "]


def test_a_cell_that_fails_is_said_and_ends_the_notebook(
    notebook: ClientEnvironment, tmp_path: Path
) -> None:
    def cell(stage: str, source: str) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{stage}",
            "metadata": {"tags": [f"stage:{stage}"]},
            "outputs": [],
            "source": source,
        }

    cells = [
        cell("data", "import time\ntime.sleep(0.2)\nprint('seen')"),
        cell("train", "raise ValueError('the loss is nan')"),
        cell("deploy", "print('never')"),
    ]
    written = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    file = tmp_path / "failing.ipynb"
    file.write_text(json.dumps(written))
    driver = Path(__file__).with_name("execute_notebook.py")
    ended = subprocess.run(
        [str(notebook.python), str(driver), str(file), KERNEL],
        env={**os.environ, **jupyter_folders(tmp_path / "jupyter", notebook)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "the loss is nan" in ended.stderr
    executed = Notebook(file)
    assert executed.text == "seen\n"
    assert set(executed.seconds) == {"data", "train"}
    assert executed.seconds["data"] >= 0.2
