"""Schedules are functions of the step, and start, peak and end where their sources say."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.training_options import TrainingOptions
from clary.vision.optimizers import (
    build_optimizer,
    default_learning_rate,
    learning_rate_factor,
    load_optimizer_state,
)

SCHEDULES = ("cosine", "onecycle", "step", "constant")


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps_per_epoch=st.integers(1, 50),
    epochs=st.integers(1, 30),
    warmup=st.floats(0, 3),
    data=st.data(),
)
def test_factor_stays_in_bounds(schedule, steps_per_epoch, epochs, warmup, data):
    options = TrainingOptions(schedule=schedule, warmup_epochs=warmup, epochs=epochs)
    step = data.draw(st.integers(0, steps_per_epoch * epochs + 5))
    factor = learning_rate_factor(options, step, steps_per_epoch, epochs)
    assert 0 < factor <= 1 + 1e-12


def test_cosine_warms_up_and_falls_to_a_hundredth():
    options = TrainingOptions(schedule="cosine", warmup_epochs=1.0, epochs=10)
    factors = [learning_rate_factor(options, step, 10, 10) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.01)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_one_cycle_peaks_at_three_tenths():
    options = TrainingOptions(schedule="onecycle", epochs=10)
    factors = [learning_rate_factor(options, step, 10, 10) for step in range(101)]
    assert max(factors) == factors[30] == pytest.approx(1.0)


def test_step_drops_by_gamma():
    options = TrainingOptions(schedule="step", step_epochs=2, step_gamma=0.5, epochs=6)
    factors = [learning_rate_factor(options, epoch * 4, 4, 6) for epoch in range(6)]
    assert factors == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_optimizer_takes_its_words(name, kind):
    options = TrainingOptions(
        optimizer=name, eps=1e-6, beta1=0.8, beta2=0.95, momentum=0.7, weight_decay=0.3
    )
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = build_optimizer([{"params": [weight], "lr": 0.5}], options)
    group = optimizer.param_groups[0]
    assert type(optimizer) is kind
    assert group["lr"] == 0.5
    assert group["weight_decay"] == 0.3
    if name == "sgd":
        assert group["momentum"] == 0.7
    else:
        assert group["betas"] == (0.8, 0.95)
        assert group["eps"] == 1e-6


def test_default_rates_are_gentler_for_pretrained_weights():
    for optimizer in ("adamw", "sgd"):
        options = TrainingOptions(optimizer=optimizer)
        fine = default_learning_rate(options, frozen=False, pretrained=True)
        scratch = default_learning_rate(options, frozen=False, pretrained=False)
        assert fine < scratch


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_loaded_moments_belong_to_their_weights_in_any_layout(name):
    def trained(steps, state=None):
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
        groups = [{"params": [layer.weight], "lr": 0.1}]
        optimizer = build_optimizer(groups, TrainingOptions(optimizer=name))
        if state is not None:
            layer.weight.data.copy_(state["weight"])
            load_optimizer_state(optimizer, state["optimizer"])
        for step in steps:
            layer.weight.grad = torch.randn_like(layer.weight) + step
            optimizer.step()
        return layer.weight.detach().clone(), optimizer.state_dict()

    torch.manual_seed(0)
    weight, state = trained(range(2))
    dense = {
        key: {
            name: value.clone().contiguous() for name, value in moments.items() if value is not None
        }
        for key, moments in state["state"].items()
    }
    kept = {"weight": weight, "optimizer": {**state, "state": dense}}
    gradients = torch.random.get_rng_state()
    expected, _ = trained([5.0], {"weight": weight, "optimizer": state})
    torch.random.set_rng_state(gradients)
    resumed, _ = trained([5.0], kept)
    assert torch.equal(expected, resumed)
