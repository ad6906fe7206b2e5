"""Hooks where a module is wrapped, compiled, or trained by several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from clary.debugger import Collection, Schedule
from clary.debugger.watched import bare
from clary.formats.tensor_log import TensorLog

TWO_PROCESSES = """
import os, sys
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from clary.debugger import Collection, Hook, HookConfiguration, Schedule

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(0)
net = DistributedDataParallel(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
hook = Hook(
    "tensors",
    HookConfiguration(
        tuple(map(Collection, ("weights", "gradients", "outputs"))),
        schedule=Schedule(interval=1),
        include_workers=sys.argv[1],
    ),
)
hook.watch(net)
loss = nn.MSELoss()
for step in range(3):
    loss(net(torch.full((2, 4), rank + 1.0)), torch.zeros(2, 2)).backward()
hook.close()
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("workers", "found"), [("one", {"worker_0"}), ("all", {"worker_0", "worker_1"})]
)
def test_processes_that_train_together(tmp_path, workers, found):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(TWO_PROCESSES))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node=2", str(script), workers],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = TensorLog(tmp_path / "tensors")
    log.refresh()
    assert set(log.workers) == found
    assert not log.failures
    names = set(log.names())
    assert {"Sequential_0.weight", "gradient/Sequential_2.bias", "1_output_0"} <= names
    losses = [log.scalars("MSELoss_output_0", worker) for worker in sorted(found)]
    assert all(list(values) == [0, 1, 2] for values in losses)
    if len(losses) == 2:
        assert losses[0] != losses[1]


def test_a_compiled_module_is_seen_by_its_parameters(make_hook, read):
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    compiled = torch.compile(net, backend="aot_eager")
    hook = make_hook(
        collections=[Collection("weights"), Collection("gradients")], schedule=Schedule(interval=2)
    )
    hook.watch(compiled)
    loss = nn.MSELoss()
    for _ in range(4):
        loss(compiled(torch.randn(2, 4)), torch.zeros(2, 4)).backward()
    log = read(hook)
    assert not log.failures
    assert list(log.scalars("MSELoss_output_0")) == [0, 1, 2, 3]
    assert list(log.statistics("Sequential_0.weight")) == [0, 2]
    assert list(log.statistics("gradient/Sequential_0.weight")) == [0, 2]


@pytest.mark.parametrize("start", [0, 2])
def test_nothing_is_hung_into_a_compiled_module(make_hook, read, start, capsys):
    torch.compiler.reset()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    compiled = torch.compile(net, backend=count)
    hook = make_hook(
        collections=[Collection("activations"), Collection("input_image"), Collection("weights")],
        schedule=Schedule(interval=1, start=start),
    )
    hook.watch(compiled)
    for _ in range(4):
        compiled(torch.randn(2, 4, 3).mean(2)).sum().backward()
    assert len(graphs) == 1
    log = read(hook)
    assert "Sequential_0.weight" in log.names()
    assert "Sequential_input_0" in log.names()
    assert "1_output_0" not in log.names()
    assert len(log.failures) == 1
    assert "compiled" in log.failures[0]
    assert capsys.readouterr().err.count("because it is compiled") == 1


def test_a_module_that_is_compiled_after_it_was_watched_is_counted(make_hook, read):
    # The compiler takes what it made of a Sequential before, without asking for hooks.
    torch.compiler.reset()
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    hook = make_hook(collections=[Collection("gradients")], schedule=Schedule(interval=1))
    hook.watch(net)
    compiled = torch.compile(net, backend="aot_eager")
    loss = nn.MSELoss()
    for _ in range(3):
        loss(compiled(torch.randn(2, 4)), torch.zeros(2, 4)).backward()
    log = read(hook)
    assert not log.failures
    assert list(log.scalars("MSELoss_output_0")) == [0, 1, 2]
    assert list(log.statistics("gradient/Sequential_0.bias")) == [0, 1, 2], (
        log.names(),
        log.failures,
    )


def test_names_are_those_of_the_module_that_was_written():
    net = nn.Linear(2, 2)
    assert bare(nn.DataParallel(net)) is net
    assert bare(torch.compile(nn.DataParallel(net), backend="eager")) is net


def test_data_parallel_is_seen_but_for_what_its_replicas_do(make_hook, read, capsys):
    net = nn.DataParallel(nn.Linear(2, 2))
    hook = make_hook(collections=[Collection("gradients")], schedule=Schedule(interval=1))
    hook.watch(net)
    nn.MSELoss()(net(torch.ones(1, 2)), torch.zeros(1, 2)).backward()
    assert "gradient/Linear_weight" in read(hook).names()
    assert "DistributedDataParallel" in capsys.readouterr().err
