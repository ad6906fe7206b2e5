"""Values that a script gives itself, and parameters that come late."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clary.debugger import Collection, Schedule

EVERY = Schedule(interval=1)


@pytest.mark.parametrize("value", [object(), "text", None, torch.ones(3)])
def test_what_is_no_number_is_refused_once_and_the_rest_is_kept(
    trainer, make_hook, read, capsys, value
):
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(1)
    for _ in range(3):
        hook.record_scalar("mine", value)
        hook.record("own", [[1], [2, 3]], whole=True)
        hook.record_scalar("rate", torch.tensor(0.5))
    trainer.train(1)
    assert hook.watching
    told = capsys.readouterr().err
    assert (told.count("mine is not kept"), told.count("own is not kept")) == (1, 1)
    log = read(hook)
    assert log.scalars("scalar/rate") == {0: 0.5}
    assert not {"scalar/mine", "own"} & set(log.names())
    assert not log.failures


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_number_on_a_device_is_what_it_was_when_it_was_recorded(trainer, make_hook, read):
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(1)
    value = torch.tensor(0.5, device="cuda")
    hook.record_scalar("rate", value)
    value.zero_()
    hook.record_scalar("several", torch.ones(3, device="cuda"))
    log = read(hook)
    assert log.scalars("scalar/rate") == {0: 0.5}
    assert "scalar/several" not in log.names()


def test_parameters_that_do_not_exist_yet_are_seen_as_soon_as_they_do(make_hook, read):
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 1))
    hook = make_hook(collections=[Collection("weights"), Collection("gradients")], schedule=EVERY)
    hook.watch(net)
    for _ in range(2):
        net(torch.randn(3, 5)).sum().backward()
    assert hook.watching
    log = read(hook)
    for name in ("Sequential_0.weight", "gradient/Sequential_0.weight"):
        assert list(log.statistics(name)) == [1]
    assert list(log.statistics("gradient/Sequential_2.weight")) == [0, 1]
