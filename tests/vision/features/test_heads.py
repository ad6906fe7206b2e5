from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clary.vision.features import HeadBank, HeadOptions
from clary.vision.models import build_head

WIDTH, CLASSES, ROWS, BATCH = 24, 4, 70, 16


def made_up(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(ROWS, WIDTH, generator=generator)
    return features, torch.randint(0, CLASSES, (ROWS,), generator=generator)


def heads(count: int, hidden: tuple[int, ...] = ()) -> list[nn.Sequential]:
    torch.manual_seed(0)
    return [build_head(WIDTH, CLASSES, hidden) for _ in range(count)]


def batches(epochs: int = 2):
    for epoch in range(epochs):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(ROWS))
        yield from order.split(BATCH)


def alone(head: nn.Sequential, option: HeadOptions, lr: float) -> list[float]:
    """Train one head as one writes it in torch; the losses of its steps."""
    weights = [p for p in head.parameters() if p.dim() > 1]
    biases = [p for p in head.parameters() if p.dim() == 1]
    groups = [
        {"params": weights, "weight_decay": option.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer
    if option.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=option.momentum)
    else:
        kind = torch.optim.AdamW if option.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(groups, lr=lr, betas=option.betas, eps=option.eps)
    weight = None if option.class_weights is None else torch.tensor(option.class_weights)
    criterion = nn.CrossEntropyLoss(weight=weight, label_smoothing=option.label_smoothing)
    features, labels = made_up()
    losses = []
    for rows in batches():
        loss = criterion(head(features[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        if option.clip_grad is not None:
            nn.utils.clip_grad_norm_(head.parameters(), option.clip_grad)
        optimizer.step()
        losses.append(loss.item())
    return losses


def together(bank: HeadBank, lrs: list[float]) -> np.ndarray:
    features, labels = made_up()
    steps = [bank.step(features[rows], labels[rows], lrs).losses for rows in batches()]
    return torch.stack(steps, dim=1).numpy()


option_sets = st.builds(
    HeadOptions,
    optimizer=st.sampled_from(["adamw", "adam", "sgd"]),
    weight_decay=st.sampled_from([0.0, 0.01, 0.2]),
    eps=st.sampled_from([1e-8, 1e-4]),
    betas=st.sampled_from([(0.9, 0.999), (0.5, 0.9)]),
    momentum=st.sampled_from([0.0, 0.9]),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    class_weights=st.sampled_from([None, (1.0, 2.0, 0.5, 3.0)]),
    clip_grad=st.sampled_from([None, 0.3]),
)


@settings(max_examples=40, deadline=None)
@given(
    options=st.lists(option_sets, min_size=1, max_size=5),
    hidden=st.sampled_from([(), (9,), (9, 7)]),
    rates=st.lists(st.sampled_from([1e-3, 1e-2, 0.05]), min_size=5, max_size=5),
)
def test_each_head_learns_what_it_learns_alone_in_torch(options, hidden, rates):
    stacks = heads(len(options), hidden)
    lrs = rates[: len(options)]
    bank = HeadBank(stacks, options)
    found = together(bank, lrs)
    for number, (stack, option, lr) in enumerate(zip(stacks, options, lrs, strict=True)):
        assert found[number] == pytest.approx(alone(stack, option, lr), rel=2e-5, abs=1e-6)
        exported = bank.export(number)
        for name, value in stack.state_dict().items():
            assert torch.allclose(exported[name], value, rtol=1e-4, atol=2e-6), name


def test_one_plain_head_equals_torch_to_a_millionth():
    option = HeadOptions()
    (stack,) = heads(1)
    found = together(HeadBank([stack], [option]), [1e-3])[0]
    assert np.abs(found - np.array(alone(stack, option, 1e-3))).max() <= 1e-6


def test_dropout_of_a_head_does_not_depend_on_the_others():
    options = [HeadOptions(dropout=0.4, seed=k) for k in range(4)]
    stacks = heads(4, (8,))
    all_four = together(HeadBank(stacks, options), [1e-2] * 4)
    third = together(HeadBank(stacks[2:3], options[2:3]), [1e-2])
    assert np.allclose(all_four[2], third[0], atol=1e-5)
    assert not np.allclose(all_four[2], all_four[1], atol=1e-3)


def test_dropout_drops_the_part_it_says_and_keeps_the_mean():
    bank = HeadBank(heads(2), [HeadOptions(dropout=0.3, seed=5), HeadOptions(seed=5)])
    masks = bank._mask(2000, 50, 0)
    assert float((masks[0] == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(masks[0].mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.all(masks[1] == 1)


def test_evaluation_is_plain_cross_entropy_without_dropout():
    option = HeadOptions(dropout=0.5, label_smoothing=0.2, class_weights=(1.0, 2.0, 3.0, 4.0))
    (stack,) = heads(1, (8,))
    bank = HeadBank([stack], [option])
    features, labels = made_up()
    result = bank.evaluate(features, labels)
    logits = stack(features).detach()
    assert float(result.losses[0]) == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels)), abs=1e-6
    )
    assert int(result.correct[0]) == int((logits.argmax(1) == labels).sum())
    assert torch.allclose(bank.logits(features)[0], logits, atol=1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_resumed_bank_goes_on_exactly(ema):
    options = [
        HeadOptions(optimizer="adamw", dropout=0.2, ema=ema),
        HeadOptions(optimizer="sgd", seed=3, ema=ema / 2),
    ]
    lrs = [1e-2, 5e-2]
    features, labels = made_up()
    whole, first = HeadBank(heads(2), options), HeadBank(heads(2), options)
    rows = list(batches())
    for part in rows:
        whole.step(features[part], labels[part], lrs)
    for part in rows[:4]:
        first.step(features[part], labels[part], lrs)
    second = HeadBank(heads(2), options)
    second.load_state_dict(first.state_dict())
    for part in rows[4:]:
        second.step(features[part], labels[part], lrs)
    assert second.steps == whole.steps == len(rows)
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name


def test_averages_are_torchs():
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    (stack,) = heads(1)
    bank = HeadBank([stack], [HeadOptions(optimizer="sgd", ema=0.8)])
    average = AveragedModel(stack, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    optimizer = torch.optim.SGD(
        [{"params": [stack[0].weight], "weight_decay": 0.01}, {"params": [stack[0].bias]}],
        lr=0.05,
        momentum=0.9,
    )
    features, labels = made_up()
    for rows in batches():
        bank.step(features[rows], labels[rows], [0.05])
        optimizer.zero_grad()
        nn.functional.cross_entropy(stack(features[rows]), labels[rows]).backward()
        optimizer.step()
        average.update_parameters(stack)
    for name, value in average.module.state_dict().items():
        assert torch.allclose(bank.export(0)[name], value, atol=1e-5)


def test_an_exported_head_can_be_put_back():
    bank = HeadBank(heads(2, (8,)), [HeadOptions(), HeadOptions(ema=0.5)])
    features, _ = made_up()
    saved = bank.export(1)
    before = bank.logits(features)[1]
    together(bank, [1e-2, 1e-2])
    assert not torch.allclose(bank.logits(features)[1], before)
    bank.replace(1, saved)
    assert torch.allclose(bank.logits(features)[1], before)


def test_a_head_that_diverges_leaves_the_others_alone():
    stacks = heads(2)
    options = [HeadOptions(optimizer="sgd"), HeadOptions()]
    found = together(HeadBank(stacks, options), [1e38, 1e-3])
    assert not np.isfinite(found[0]).all()
    assert found[1] == pytest.approx(alone(stacks[1], options[1], 1e-3), rel=1e-5)


MIXED = [
    HeadOptions(),
    HeadOptions(optimizer="sgd", dropout=0.3, clip_grad=0.5),
    HeadOptions(optimizer="adam", ema=0.9, label_smoothing=0.1),
    HeadOptions(weight_decay=0.1, class_weights=(1.0, 2.0, 3.0, 4.0)),
]
RATES = [1e-2, 3e-2, 1e-3, 1e-1]


def mixed(chosen: list[int]) -> HeadBank:
    stacks = heads(len(MIXED), (8,))
    return HeadBank([stacks[head] for head in chosen], [MIXED[head] for head in chosen])


@given(kept=st.lists(st.integers(0, len(MIXED) - 1), min_size=1, unique=True))
@settings(max_examples=15, deadline=None)
def test_heads_that_are_kept_go_on_as_if_the_others_had_never_been(kept):
    bank, never = mixed(list(range(len(MIXED)))), mixed(kept)
    rates = [RATES[head] for head in kept]
    together(bank, RATES)
    together(never, rates)
    bank.keep(kept)
    assert len(bank) == len(kept)
    for ours, theirs in zip(together(bank, rates), together(never, rates), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for head in range(len(kept)):
        for name, tensor in bank.export(head).items():
            torch.testing.assert_close(tensor, never.export(head)[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("head", range(len(MIXED)))
def test_the_state_of_one_head_is_that_of_a_bank_of_it_alone(head):
    bank, single = mixed(list(range(len(MIXED)))), mixed([head])
    together(bank, RATES)
    state = bank.state_dict(head)
    assert {n: t.shape for n, t in state.items()} == {
        n: t.shape for n, t in single.state_dict().items()
    }
    single.load_state_dict(state)
    expected = together(bank, RATES)[head]
    assert together(single, [RATES[head]])[0] == pytest.approx(expected, rel=1e-4)


def test_no_head_or_a_strange_one_cannot_be_kept():
    for strange in ([], [2], [-1]):
        with pytest.raises(ValueError, match="cannot be kept of a bank of 2"):
            HeadBank(heads(2), [HeadOptions()] * 2).keep(strange)


def test_it_fails_when_it_is_built():
    with pytest.raises(ValueError, match="2 heads were given with 1"):
        HeadBank(heads(2), [HeadOptions()])
    with pytest.raises(ValueError, match="same layers"):
        HeadBank([*heads(1), *heads(1, (8,))], [HeadOptions()] * 2)
    with pytest.raises(ValueError, match="one per class"):
        HeadBank(heads(1), [HeadOptions(class_weights=(1.0, 2.0))])


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together(HeadBank(heads(1), [HeadOptions()]), [1e-3])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
