"""Gradients are those that a backward pass gives, whatever becomes of `.grad` afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clary.debugger import Collection, Reductions, Schedule, recording, transfer, watched

PLACES = ["cpu", "as on a device"]
if torch.cuda.is_available():
    PLACES.append("cuda")


@pytest.fixture(params=PLACES)
def device(request, monkeypatch):
    """Where the training is; a device can be had on the CPU, as nothing of it is read at once."""
    if request.param == "as on a device":
        for module in (recording, transfer, watched):
            monkeypatch.setattr(module, "on_cpu", lambda tensor: False)
    return request.param if request.param == "cuda" else "cpu"


def unscale(parameters):
    torch._foreach_mul_([parameter.grad for parameter in parameters], 1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda parameters: nn.utils.clip_grad_norm_(parameters, 1e-3),
        unscale,
        lambda parameters: [parameter.grad.zero_() for parameter in parameters],
    ],
    ids=["clipped", "unscaled", "zeroed"],
)
@pytest.mark.parametrize("raw", [False, True])
def test_gradients_are_seen_before_they_are_changed_in_place(make_hook, read, device, change, raw):
    net = nn.Linear(400, 300).to(device)  # weights are reduced where they lie, biases are copied
    hook = make_hook(
        collections=[Collection("gradients", reductions=Reductions(raw=raw))],
        schedule=Schedule(interval=1),
    )
    hook.watch(net)
    net(torch.randn(8, 400, device=device)).square().mean().backward()
    expected = {name: value.grad.clone().cpu() for name, value in net.named_parameters()}
    change(list(net.parameters()))
    net(torch.randn(8, 400, device=device))
    log = read(hook)
    assert not log.failures
    for name, gradient in expected.items():
        found = log.statistics(f"gradient/Linear_{name}")[0]
        assert found.l2 == pytest.approx(float(gradient.norm()), rel=1e-5)
        assert sum(found.histogram.counts) in {gradient.numel(), 65_536}
        if raw:
            assert (log.raw(f"gradient/Linear_{name}", 0) == gradient.numpy()).all()
