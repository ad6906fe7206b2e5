"""A script of one's own that is profiled: what the SDK says of it, and `clary profile` shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clary.sdk.estimator import Estimator
from clary.sdk.profiling import Profiling
from clary.sdk.session import Session

# Waits for its data, and knows nothing of a profiler.
SCRIPT = """
import time
import torch
from torch.utils.data import DataLoader, Dataset
class Slow(Dataset):
    def __len__(self):
        return 640
    def __getitem__(self, number):
        time.sleep(0.004)
        return torch.randn(16), number % 2
model = torch.nn.Linear(16, 2)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for epoch in range(2):
    for inputs, labels in DataLoader(Slow(), batch_size=16):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
"""


@pytest.mark.slow
def test_a_job_says_where_its_time_went(session: Session, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    estimator = Estimator(
        session,
        image="pytorch-training:2.8",
        entry_point=str(tmp_path / "script.py"),
        profile=Profiling("full", interval_ms=100),
    )
    job = estimator.fit(name="slow-1", logs=False)
    (report,) = job.profiler_rules()
    assert (report.name, report.ended) == ("ProfilerReport", True)
    assert job.rules() == ()
    did, holds_back, change = report.details.splitlines()[-3:]
    assert "80 training steps of 16 pictures" in did
    assert "waits for its data" in holds_back
    # Where other programs take the cores, it cannot be told from work.
    assert re.search("what the dataset waits for|num_workers|keep it", change)
    page = job.profiler_report()
    assert "<title>slow-1: " in page
    assert page.rstrip().endswith("</html>")
    asked = Profiling.of_job(job.description().raw)
    assert (asked.level, asked.interval_ms) == ("full", 100)

    def profile(*words: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "clary", "profile", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80"},
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    shown = " ".join(profile("slow-1", "--trace", "trace.json.gz").split())
    assert holds_back in shown
    assert (tmp_path / "trace.json.gz").stat().st_size > 10_000
