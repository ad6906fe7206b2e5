"""Watched modules are scripted and saved, as at the end of a training."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from clary.debugger import Collection, Schedule, scripting
from tests.debugger.conftest import Net, Trainer

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")
PICTURES = torch.ones(2, 3, 8, 8)


@pytest.mark.parametrize("copied", [False, True])
def test_a_watched_module_is_scripted_and_watched_on(make_hook, read, copied):
    trainer = Trainer(Net())
    hook = make_hook(collections=[Collection("all")], schedule=Schedule(interval=1))
    hook.watch(trainer.net)
    trainer.train(1)
    scripted = torch.jit.script(copy.deepcopy(trainer.net) if copied else trainer.net)
    stored = io.BytesIO()
    torch.jit.save(scripted, stored)
    stored.seek(0)
    assert torch.allclose(torch.jit.load(stored)(PICTURES), scripted(PICTURES))
    trainer.train(1)
    log = read(hook)
    assert list(log.scalars("CrossEntropyLoss_output_0")) == [0, 1]
    assert list(log.statistics("relu_output_0")) == [0, 1]
    assert not log.failures


def test_functions_are_scripted_with_the_names_of_their_own_place(make_hook):
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    twice_of = torch.jit.script(twice)
    hook = make_hook()
    hook.watch(nn.Linear(2, 2))

    @torch.jit.script
    def four_times(x: torch.Tensor) -> torch.Tensor:
        return twice_of(twice_of(x))

    assert float(four_times(torch.ones(()))) == 4.0


def test_torch_is_as_before_when_nothing_is_watched():
    original = torch.jit.script
    owners = [object(), object()]
    for owner in owners:
        scripting.allow(owner)
        scripting.allow(owner)
        assert torch.jit.script is not scripting.__dict__["_original"]
    for owner in owners:
        scripting.disallow(owner)
    assert torch.jit.script is original
