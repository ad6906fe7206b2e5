"""Who answers what to try next: the service itself, or a process that may import torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import sys
from clary.service.supervisor.tuning.suggesting import next_parameters
from clary.tuner.ranges import ContinuousRange, Space
from clary.tuner.search import Search
from clary.tuner.trials import Trial

search = Search(Space((ContinuousRange("x", 0, 10),)), "Bayesian", "Minimize", seed=1)
trials = [Trial(n, {"x": float(n)}, "succeeded", (n - 3.3) ** 2) for n in range(1, 11)]
chosen = next_parameters(search, trials, [], seconds_per_trial=float(sys.argv[1]))
assert chosen == next_parameters(search, trials, [], seconds_per_trial=float(sys.argv[1]))
print(chosen["x"], "torch" in sys.modules)
"""


@pytest.mark.parametrize("seconds_per_trial", [1, 600], ids=["quick trials", "costly trials"])
def test_torch_never_comes_into_the_service(seconds_per_trial: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK, str(seconds_per_trial)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    x, torch = done.stdout.split()
    assert 0 <= float(x) <= 10
    assert torch == "False"
    if seconds_per_trial == 600:
        # On a parabola, a Gaussian process is not far off.
        assert abs(float(x) - 3.3) < 2
