"""Charts and tables of a profile, in an environment that has what they need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from clary.formats.client_environment import SHIMS
from tests.clients.environments import ClientEnvironment, notebook
from tests.clients.results import result_of
from tests.profiler.made_profiles import Machine, MadeJob
from tests.shims.conftest import SCRIPTS

__all__ = ["notebook"]


def job(folder: Path) -> None:
    """30 s of two epochs, on a machine that is 80 % busy while it trains."""
    made = MadeJob(folder, gpus=1, cores=2, machine=Machine(cpu=80.0, noise=1.0))
    made.initialize(5.0)
    for _ in range(2):
        made.train(50, noise=0.01)
        made.evaluate(20, 0.06)
        made.checkpoint(0.5)
    made.load(100, 0.2)
    made.end(finalize=2.0)


def test_what_charts_and_tables_show(notebook: ClientEnvironment, tmp_path: Path) -> None:
    job(tmp_path / "made")
    (tmp_path / "empty").mkdir()
    ended = subprocess.run(
        [
            str(notebook.python),
            str(SCRIPTS / "draw_profile.py"),
            *(str(tmp_path / name) for name in ("made", "empty")),
        ],
        env={**os.environ, "PYTHONPATH": str(SHIMS), "MPLCONFIGDIR": str(tmp_path / "config")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    found = result_of(ended.stdout)

    dimensions = ["CPUUtilization", "GPUMemoryUtilization", "GPUUtilization"]
    assert found["timeline"] == [f"{one} · total · algo-1" for one in dimensions]
    assert len(set(found["points"])) == 1
    assert set(found["bands"]) == {"initialization", "evaluation", "checkpoint"}
    assert found["detail"] == ["data loading", "training"]
    assert "CPUUtilization · cpu1 · algo-1" in found["default"]
    assert "memory · MemoryUsedPercent · algo-1" in found["default"]
    assert found["steps"] == [["duration of a step"], 2 * 50 + 2 * 20]
    phases = ["Backward(post-forward)", "Forward", "Step:ModeKeys.EVAL", "Step:ModeKeys.TRAIN"]
    assert found["histogram"] == phases
    assert set(found["last seconds"]) == {f"{one}-nodeid:algo-1-4711" for one in phases}
    assert all(0 < count < 50 for count in found["last seconds"].values())
    assert len(found["metrics"]) == 3
    assert found["heatmap"][0] == "CPUUtilization · cpu0 · algo-1"
    assert 80 < found["heat"] <= 100
    assert found["nothing"] == [None, None, None]

    assert found["columns"][0][-2:] == ["nodeID", "type"]
    assert found["columns"][1][6:8] == ["framework_metric", "step"]
    shares = found["job"]
    assert sum(shares.values()) > 95
    assert 15 < shares["initialization_%"] < 25
    # Without waiting for data, as SageMaker's: transfer, forward, backward and optimizer.
    assert abs(found["by mode"]["Step:ModeKeys.TRAIN"] - 180_000) < 5_000
    assert abs(found["by phase"]["Forward"] - 60_000) < 10_000
    assert abs(found["by phase"]["DataLoaderIter"] - 5_000) < 2_000
    assert 75 < found["busy"]["Step:ModeKeys.TRAIN"] < 85
    assert found["busy"]["Before Step:ModeKeys.TRAIN"] < 40
    assert found["usage"][1] == sum(found["usage"]) - found["usage"][2]
    train, evaluation = "Step:ModeKeys.TRAIN", "Step:ModeKeys.EVAL"
    assert found["intervals"] == [
        f"Before {train}",
        train,
        f"Between {evaluation} and {train}",
        evaluation,
    ]
    assert found["by step"] == [list(range(20, 30)), True]
    assert found["at moments"][1] == [evaluation, train]

    said = ended.stdout
    assert "ms (cumulative time) in Step:ModeKeys.TRAIN" in said
    assert "No selection made" in said
    assert "nothing is called so: select_dimensions=['TPU']" in said
    assert "there is nothing at all yet" in said
    assert "There are no steps yet" in said
    assert "Workers of loaders: 4" in said
