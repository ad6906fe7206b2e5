"""Scripts in processes of their own: how they are armed, how they end, whom they start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import clary
from clary.formats.timeline import Mode
from clary.formats.timeline.reader import Timeline
from tests.waiting import until

SHIMS = Path(clary.__file__).parent / "shims"
TRAINING = """
import os, sys, time, signal, threading, multiprocessing
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def train(batches=6, workers=0, context=None, pause=0.0):
    data = TensorDataset(torch.randn(4 * batches, 48), torch.arange(4 * batches) % 3)
    model = nn.Linear(48, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(data, 4, num_workers=workers, multiprocessing_context=context)
    for pictures, labels in loader:
        nn.functional.cross_entropy(model(pictures), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        time.sleep(pause)

if __name__ == "__main__":
"""


@pytest.fixture
def script(tmp_path):
    """Runs a script as `clary exec --profile` and jobs do; gives the process and its timeline."""

    def run(body, *, configuration=None, wait=True, before="", **environment):
        file = tmp_path / "train.py"
        file.write_text(before + TRAINING + textwrap.indent(textwrap.dedent(body), "    "))
        (tmp_path / "config.json").write_text(json.dumps(configuration or {}))
        process = subprocess.Popen(
            [sys.executable, str(file)],
            env={
                **os.environ,
                "PYTHONPATH": str(SHIMS),
                "OMP_NUM_THREADS": "1",
                "CLARY_PROFILER_FOLDER": str(tmp_path / "profiler"),
                "CLARY_PROFILER_FILE": str(tmp_path / "config.json"),
                "CLARY_PROFILER_NODE": "algo-2",
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        if not wait:
            return process, Timeline(tmp_path / "profiler")
        _, errors = process.communicate(timeout=120)
        timeline = Timeline(tmp_path / "profiler")
        timeline.refresh()
        return process.returncode, errors, timeline.workers

    return run


def count(worker, mode=Mode.TRAIN):
    return int(worker.steps(mode)["merged"].sum())


def test_a_script_is_armed_by_its_environment_and_an_error_ends_it_well(script):
    code, errors, workers = script(
        "train()\n"
        "loaders = torch.__loader__, torch.__spec__.loader\n"
        "assert all(isinstance(one, importlib.abc.SourceLoader) for one in loaders)\n"
        "raise SystemExit('enough')",
        before="import importlib.abc\n",
    )
    assert (code, errors) == (1, "enough\n")
    worker = workers["worker_0"]
    assert count(worker) == 6
    facts = worker.facts
    assert facts.node == "algo-2"
    assert facts.program.endswith("train.py")
    assert facts.ended_us is not None
    spans = {span.label or span.kind: span for span in worker.spans}
    whole, torch = spans["initialization"], spans["importing torch"]
    assert whole.start_us <= torch.start_us < torch.end_us <= whole.end_us + 1000


@pytest.mark.parametrize(
    ("place", "first", "disabled"),
    [
        ("clary.py", False, False),
        ("clary.py", True, False),
        ("clary/__init__.py", False, True),
    ],
)
def test_a_module_of_the_scripts_own_called_clary_is_not_hidden(
    script, tmp_path, place, first, disabled
):
    own = tmp_path / place
    own.parent.mkdir(exist_ok=True)
    own.write_text("X = 41\n")
    code, errors, workers = script(
        "train()\nimport clary\nraise SystemExit(clary.X)",
        before="import clary\n" if first else "",
        configuration={"DisableProfiler": disabled},
    )
    assert code == 41, errors
    assert not workers
    (line,) = errors.splitlines()
    assert line.startswith("clary profiler: steps are not recorded: ")
    assert "would hide this script's own clary" in line


def test_ctrl_c_and_threads_and_a_fork_leave_a_good_timeline(script):
    process, timeline = script(
        """
        if os.fork() == 0:
            os._exit(0)
        threading.Thread(target=time.sleep, args=(0.1,)).start()
        train(10_000, pause=0.02)
        """,
        wait=False,
    )

    def has_steps():
        timeline.refresh()
        return any(map(count, timeline.workers.values()))

    until(has_steps)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert "clary" not in errors.replace("clary-", "").lower() or "profiler" not in errors
    timeline.refresh()
    (worker,) = timeline.workers.values()
    assert worker.facts.ended_us is not None
    assert worker.failures == ()


def test_a_process_that_is_cut_off_has_what_was_written_before(script):
    code, _, workers = script("train(8, pause=0.03)\ntime.sleep(1.5)\nos._exit(7)")
    assert code == 7
    assert count(workers["worker_0"]) >= 6
    assert workers["worker_0"].facts.ended_us is None


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_processes_of_a_loader_are_no_trainings(script, context):
    code, errors, workers = script(f"train(6, workers=2, context={context!r})")
    assert code == 0, errors
    (worker,) = workers.values()
    assert count(worker) == 6
    assert sorted(set(worker.loads()["worker"])) == [0, 1]
    assert worker.loads()["pictures"].sum() == 24


def test_processes_that_train_are_told_apart_by_their_rank(script):
    body = """
    def rank(number):
        os.environ["RANK"] = str(number)
        train()

    train()
    children = [multiprocessing.get_context("fork").Process(target=rank, args=(n,)) for n in (1, 2)]
    [child.start() for child in children]
    [child.join() for child in children]
    """
    code, errors, workers = script(body)
    assert code == 0, errors
    assert sorted(workers) == ["worker_0", "worker_1", "worker_2"]
    assert [count(worker) for worker in workers.values()] == [6, 6, 6]
    assert all(worker.facts.ended_us for worker in workers.values())
    # What a process did before it was forked is no part of its initialization.
    imports = [
        [span.label for span in worker.spans].count("importing torch")
        for worker in workers.values()
    ]
    assert imports == [1, 0, 0]


def test_what_the_configuration_file_says_while_it_runs_is_done(script, tmp_path):
    process, timeline = script("train(100_000, pause=0.02)", wait=False)
    folder = tmp_path / "profiler"

    def configure(content):
        new = tmp_path / "new.json"
        new.write_text(json.dumps(content))
        new.replace(tmp_path / "config.json")

    def steps():
        timeline.refresh()
        return sum(map(count, timeline.workers.values()))

    try:
        until(lambda: steps() > 0)
        configure({"ProfilingParameters": {"DetailedProfilingConfig": '{"NumSteps": 3, }'}})
        until(lambda: list(folder.glob("timeline/worker_0/operators-*.json")))
        configure({"DisableProfiler": True})
        time.sleep(3)
        before = steps()
        time.sleep(1)
        assert steps() == before
        configure({"DisableProfiler": False})
        until(lambda: steps() > before)
    finally:
        process.kill()
        process.communicate()
    timeline.refresh()
    (worker,) = timeline.workers.values()
    assert worker.steps()["seconds"].max() < 30
    assert worker.failures == ()


def test_a_damaged_configuration_is_told_and_steps_are_recorded(script):
    code, errors, workers = script("train()", configuration={"DisableProfiler": "maybe"})
    assert code == 0
    assert errors.count("clary profiler: DisableProfiler is 'maybe': give true or false") == 1
    assert count(workers["worker_0"]) == 6


def test_a_script_without_training_leaves_nothing(script, tmp_path):
    code, errors, workers = script("print(torch.zeros(2).sum())")
    assert (code, errors, dict(workers)) == (0, "", {})
    assert not (tmp_path / "profiler").exists()
