"""SageMaker's profiler as notebooks use it: the unmodified SDK, a kernel, charts and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from clary.formats.client_environment import SHIMS
from tests.clients.conftest import SCRIPTS, RunScript, execute
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of

JUDGING = {
    "BatchSize",
    "CPUBottleneck",
    "Dataloader",
    "GPUMemoryIncrease",
    "IOBottleneck",
    "LoadBalancing",
    "LowGPUUtilization",
    "MaxInitializationTime",
    "OverallFrameworkMetrics",
    "OverallSystemUsage",
    "StepOutlier",
}
REPORT = {
    "profiler-report.html",
    "profiler-report.ipynb",
    *(f"profiler-reports/{rule}.json" for rule in JUDGING),
}
CHARTS = 7


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_notebook_of_the_profiler(
    run_script: RunScript,
    notebook: ClientEnvironment,
    awscli: ClientEnvironment,
    clary_environment: Mapping[str, str],
    tmp_path: Path,
) -> None:
    hyperparameters = {"epochs": 2, "pictures": 960, "workers": 1}
    output = run_script(
        notebook,
        "run_cells.py",
        SCRIPTS / "profile_notebook.py",
        NOTEBOOK_SCRIPT=str(SCRIPTS / "train_profiled.py"),
        NOTEBOOK_HYPERPARAMETERS=json.dumps(hyperparameters),
        OMP_NUM_THREADS="1",
    )
    found = result_of(output)
    # Rules have reported when fit() returns, and the report is there.
    assert set(found["summary"]) == {"LowGPUUtilization", "ProfilerReport"}
    assert set(found["summary"].values()) <= {"NoIssuesFound", "IssuesFound"}, found["details"]
    assert found["report"] == "ProfilerReport"
    assert set(found["objects"]) == REPORT
    assert found["place"].endswith(f"/{found['name']}/profiler-output")
    assert found["artifacts"] == found["place"]
    assert found["profiling"] == "Enabled"
    assert Path(found["smdebug"]).is_relative_to(SHIMS)
    assert 0 < found["cpu"] <= 100
    assert found["samples"] > 3
    steps = {"Step:ModeKeys.TRAIN": 2 * 60, "Step:ModeKeys.EVAL": 2 * 15}
    assert found["steps"] == steps
    assert {"Forward", "Backward(post-forward)", "DataLoaderIter", "Optimizer"} <= set(
        found["phases"]
    )
    assert set(found["statistics"]) == set(steps)
    assert all(0 < duration_us < 60e6 for duration_us in found["statistics"].values())
    assert found["functions"] > 10
    # A picture each, and the report.
    assert f"PICTURES {CHARTS}\n" in output
    html = (tmp_path / "profiler-report.html").read_text()
    assert found["name"] in html

    listing = execute(
        dict(clary_environment),
        tmp_path,
        str(awscli.command("aws")),
        *("s3", "ls", "--recursive", found["rule_output"] + "/ProfilerReport/"),
    )
    lines = listing.split("\n")[:-1]
    assert len(lines) == 13, listing
    assert all(int(line.split()[2]) > 100 for line in lines), listing
    assert {line.partition("/profiler-output/")[2] for line in lines} == REPORT


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_profiler_of_a_job_that_runs_is_changed(
    run_script: RunScript, notebook: ClientEnvironment
) -> None:
    script = SCRIPTS / "train_profiled.py"
    hyperparameters = json.dumps({"epochs": 10_000, "pictures": 480})
    found = result_of(run_script(notebook, "sdk2_profile_update.py", script, hyperparameters))
    assert found["before"]["ProfilingIntervalInMilliseconds"] == 1000
    assert found["changed"]["ProfilingIntervalInMilliseconds"] == 100
    assert found["changed"]["S3OutputPath"] == found["before"]["S3OutputPath"]
    assert "DetailedProfilingConfig" in found["changed"]["ProfilingParameters"]
    assert found["faster"]
    assert (found["disabled"], found["enabled"]) == ("Disabled", "Enabled")
    assert found["quiet"]
    assert found["again"]
    assert "already enabled" in found["errors"]["twice"]
    assert "250" in found["errors"]["interval"]
    assert found["errors"]["over"]
    assert found["status"] == "Stopped"
    # Switched off with the profiler, as on AWS.
    assert found["rules"] == {"AddedReport": "Stopped"}
