"""A loss belongs to the forward pass that it came of, or to no step at all."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from clary.debugger import Collection, Mode, Schedule
from tests.debugger.conftest import Net, Trainer

PICTURES, LABELS = torch.ones(2, 3, 8, 8), torch.tensor([0, 1])
LOSS = "CrossEntropyLoss_output_0"


def evaluate(net, batches=5):
    net.eval()
    with torch.no_grad():
        for _ in range(batches):
            nn.CrossEntropyLoss()(net(PICTURES), LABELS)


@pytest.fixture
def process_group(tmp_path):
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("copied", ["before", "after"])
def test_a_copy_that_is_evaluated_adds_no_losses_to_the_training(
    trainer, make_hook, read, copied, capsys
):
    average = copy.deepcopy(trainer.net)
    hook = make_hook()
    hook.watch(trainer.net)
    if copied == "after":
        average = copy.deepcopy(trainer.net)
    for _ in range(2):
        trainer.train(3)
        evaluate(average)
    log = read(hook)
    assert set(log.names()) == {LOSS}
    assert list(log.scalars(LOSS).values()) == pytest.approx(trainer.losses)
    assert capsys.readouterr().err.count("left out") == 1


def test_the_original_of_a_compiled_module_adds_no_losses_to_the_training(make_hook, read):
    net = Net()
    compiled = torch.compile(net, backend="eager")
    trainer = Trainer(net)
    trainer.net = compiled
    hook = make_hook()
    hook.watch(compiled)
    for _ in range(2):
        trainer.train(2)
        evaluate(net)
    log = read(hook)
    assert set(log.names()) == {LOSS}
    assert list(log.scalars(LOSS).values()) == pytest.approx(trainer.losses)


@pytest.mark.usefixtures("process_group")
def test_a_module_that_is_called_without_its_wrapper_counts_on(make_hook, read):
    trainer = Trainer()
    trainer.net = wrapped = DistributedDataParallel(trainer.net)
    hook = make_hook(
        collections=[Collection("input_image"), Collection("outputs")], schedule=Schedule(1)
    )
    hook.watch(wrapped)
    trainer.train(2)
    evaluate(wrapped.module, 3)
    trainer.train(1)
    log = read(hook)
    assert [step.mode for step in log.steps()] == [Mode.TRAIN] * 2 + [Mode.EVAL] * 3 + [Mode.TRAIN]
    assert len(log.scalars(LOSS)) == 6
    assert sorted(log.units("Net_input_0", "channel_means")) == [0, 1, 2, 3, 4, 5]


def test_a_hook_that_was_never_closed_hears_nothing_of_the_next_one(make_hook, read, tmp_path):
    logs = []
    for name in ("first", "second"):
        trainer = Trainer()
        hook = make_hook(folder=tmp_path / name)
        hook.watch(trainer.net)
        trainer.train(4)
        logs.append((hook, trainer))
    for hook, trainer in logs:
        log = read(hook)
        assert set(log.names()) == {LOSS}
        assert list(log.scalars(LOSS).values()) == pytest.approx(trainer.losses)


def test_hooks_of_two_modules_that_train_together_hear_their_losses(make_hook, read, tmp_path):
    drawer, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    hooks = [make_hook(folder=tmp_path / name) for name in ("drawer", "critic")]
    for hook, module in zip(hooks, (drawer, critic), strict=True):
        hook.watch(module)
    for _ in range(3):
        functional.mse_loss(critic(torch.ones(2, 4)), torch.ones(2, 1)).backward()
        judged = critic(drawer(torch.ones(2, 2)))
        functional.mse_loss(judged, torch.ones(2, 1)).backward()
    logs = [read(hook) for hook in hooks]
    assert len(logs[0].scalars("mse_loss_output_0")) == 3
    assert len(logs[1].scalars("mse_loss_output_0")) == 6


def test_losses_of_one_step_do_not_grow_without_end(trainer, make_hook, read):
    hook = make_hook()
    hook.watch(trainer.net)
    logits = trainer.net(PICTURES)
    for _ in range(50):
        functional.cross_entropy(logits, LABELS)
    assert len(read(hook).names()) == 16


def test_a_number_beside_the_loss_that_learns_is_kept(trainer, make_hook, read):
    hook = make_hook()
    hook.watch(trainer.net)
    logits = trainer.net(PICTURES)
    functional.cross_entropy(logits, LABELS).backward()
    with torch.no_grad():
        functional.l1_loss(logits.softmax(1)[:, 0], LABELS.float())
    assert set(read(hook).names()) == {"cross_entropy_loss_output_0", "l1_loss_output_0"}


def test_a_hook_that_is_closed_within_a_loss_leaves_the_next_one_to_hear_all(make_hook, read):
    class Closing(nn.Module):
        def forward(self, x):
            hook.close()
            return x.mean()

    hook = make_hook()
    net, loss = nn.Linear(2, 2), Closing()
    hook.watch(net)
    hook.watch_loss(loss)
    loss(net(torch.ones(1, 2)))
    hook = make_hook()
    hook.watch(net)
    functional.mse_loss(net(torch.ones(1, 2)), torch.zeros(1, 2))
    assert "mse_loss_output_0" in read(hook).names()
