"""What looks at a watched model without running it finds the model alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from clary.debugger import Collection, Schedule
from tests.debugger.conftest import Net

EVERYTHING = {"collections": [Collection("all")], "schedule": Schedule(interval=1)}
PICTURES = torch.ones(2, 3, 8, 8)

# In a process of its own: a tracer that is disturbed ends it.
TRACE = """
import sys, torch
from torch import nn
from clary.debugger import Collection, Hook, Schedule
first, second = nn.Linear(4, 3), nn.Linear(4, 3)
hook = Hook(sys.argv[1], collections=[Collection("all")], schedule=Schedule(interval=1))
hook.watch(first)
hook.watch(second)
first(torch.ones(1, 4))
traced = torch.jit.trace(first, torch.ones(1, 4))
assert [node.kind() for node in traced.inlined_graph.nodes()][-1] == "aten::linear"
assert hook.watching
print("traced")
"""


def test_a_module_is_traced_beside_another_one_that_is_watched(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRACE, str(tmp_path / "tensors")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "traced"), done.stderr


def test_a_module_is_exported_as_without_a_hook(make_hook, read):
    def exported(net):
        graph = torch.export.export(net.eval(), (PICTURES,), strict=False).graph
        return [str(node.target) for node in graph.nodes if node.op == "call_function"]

    alone = exported(Net())
    net = Net()
    hook = make_hook(**EVERYTHING)
    hook.watch(net)
    net(PICTURES)
    assert exported(net) == alone
    assert hook.watching
    assert len(read(hook).steps()) == 1


def test_functions_of_a_watched_module_are_mapped_and_derived(make_hook, read):
    net = nn.Linear(4, 3)
    hook = make_hook(**EVERYTHING)
    hook.watch(net)
    net(torch.ones(1, 4))
    parameters = dict(net.named_parameters())

    def loss(parameters, x, label):
        logits = torch.func.functional_call(net, parameters, (x[None],))
        return functional.cross_entropy(logits, label[None])

    derived = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    found = derived(parameters, torch.ones(5, 4), torch.zeros(5).long())
    assert found["weight"].shape == (5, 3, 4)
    assert hook.watching
    log = read(hook)
    assert len(log.steps()) == 1
    assert not log.failures


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_parameters_that_have_no_shape_yet_are_left_out_until_then(make_hook, read):
    net = nn.Sequential(nn.LazyLinear(3))
    hook = make_hook(**EVERYTHING)
    hook.watch(net)
    for _ in range(2):
        net(torch.ones(1, 4)).sum().backward()
    log = read(hook)
    assert not log.failures
    assert list(log.statistics("Sequential_0.weight")) == [1]
    assert list(log.statistics("gradient/Sequential_0.weight")) == [1]
