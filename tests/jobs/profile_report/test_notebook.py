from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from clary.jobs.profile_report import write_profile_report
from clary.jobs.profile_report.notebook import notebook_text
from clary.profiler.profile import Profile
from tests.clients.environments import ClientEnvironment, notebook
from tests.jobs.profile_report.test_page import judged
from tests.profiler.made_profiles import everything

__all__ = ["notebook"]

RUN = """
import sys, nbformat
from nbclient import NotebookClient
held = nbformat.read(sys.argv[1], 4)
nbformat.validate(held)
NotebookClient(held, timeout=120, kernel_name="python3").execute()
for cell in held.cells:
    for output in cell.get("outputs", ()):
        print(output.get("text") or sorted(output.get("data", ())))
"""


def test_it_is_a_notebook_of_format_4_5() -> None:
    held = json.loads(notebook_text("dogs"))
    assert (held["nbformat"], held["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in held["cells"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", name) for name in names)
    assert held["cells"][0]["source"] == ["# Profile of dogs"]
    for cell in held["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
            compile("".join(cell["source"]), cell["id"], "exec")
        assert cell.keys() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [True, False], ids=["everything", "nothing"])
def test_its_cells_run_where_the_folder_pandas_and_matplotlib_are(
    tmp_path: Path, notebook: ClientEnvironment, recorded: bool
) -> None:
    profile = everything(tmp_path / "job") if recorded else Profile.open([tmp_path / "never"])
    write_profile_report(profile, tmp_path / "out", judged(profile).judgements)
    ended = subprocess.run(
        [str(notebook.python), "-c", RUN, "profiler-report.ipynb"],
        cwd=tmp_path / "out", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ("image/png" in ended.stdout) == recorded
    assert "text/html" in ended.stdout
