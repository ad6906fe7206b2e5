"""Losses are found by themselves, each once."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import mse_loss

from clary.debugger import Collection, Reductions, Schedule, losses


class Focal(nn.Module):
    def forward(self, logits, labels):
        return functional.cross_entropy(logits, labels) * 2


@pytest.fixture
def heard():
    found = []

    def listener(name, value, inputs):
        found.append((name, value.detach().clone()))

    losses.listen(listener)
    yield found
    losses.stop_listening(listener)
    losses.stop_listening(listener)


LOGITS, LABELS = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("loss", "inputs", "name"),
    [
        (nn.CrossEntropyLoss(), (LOGITS, LABELS), "CrossEntropyLoss"),
        (nn.NLLLoss(), (LOGITS, LABELS), "NLLLoss"),
        (nn.MSELoss(), (LOGITS, LOGITS + 1), "MSELoss"),
        (nn.BCEWithLogitsLoss(), (LOGITS, LOGITS.sigmoid()), "BCEWithLogitsLoss"),
        (nn.MultiLabelSoftMarginLoss(), (LOGITS, LOGITS.sign()), "MultiLabelSoftMarginLoss"),
        ("cross_entropy", (LOGITS, LABELS), "cross_entropy_loss"),
        ("nll_loss", (LOGITS, LABELS), "nll_loss"),
        ("kl_div", (LOGITS, LOGITS.softmax(1)), "kl_div_loss"),
    ],
)
def test_a_loss_is_told_once_by_its_class_or_function(heard, loss, inputs, name):
    # A function is looked up as late as scripts do.
    value = getattr(functional, loss)(*inputs) if isinstance(loss, str) else loss(*inputs)
    assert [told for told, _ in heard] == [name]
    assert torch.equal(heard[0][1], value)


def test_functions_are_put_back_when_nobody_listens(heard):
    losses.listen(print)
    losses.stop_listening(print)
    watched = functional.cross_entropy
    assert watched(LOGITS, LABELS) == torch.nn.functional.cross_entropy(LOGITS, LABELS)
    assert watched.__wrapped__ is not watched


def test_nothing_of_it_stays():
    original = functional.cross_entropy
    losses.listen(print)
    assert functional.cross_entropy is not original
    losses.stop_listening(print)
    assert functional.cross_entropy is original
    assert "__call__" not in vars(nn.modules.loss._Loss)


def test_scripts_compile_the_original(heard):
    @torch.jit.script
    def objective(logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels)

    assert objective(LOGITS, LABELS) > 0


def test_a_loss_of_ones_own_is_told_as_it_is_registered(trainer, make_hook, read):
    trainer.loss = Focal()
    hook = make_hook()
    hook.watch(trainer.net)
    hook.watch_loss(trainer.loss)
    trainer.train(2)
    log = read(hook)
    assert set(log.names()) == {"Focal_output_0"}
    assert list(log.scalars("Focal_output_0").values()) == pytest.approx(trainer.losses)


def test_a_function_that_was_imported_by_name_before(trainer, make_hook, read):
    # Only in the script itself: other modules keep what they hold.
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(1)
    mse_loss(LOGITS, LOGITS)
    assert "mse_loss_output_0" not in read(hook).names()


def test_two_losses_of_a_step_have_names_of_their_own(trainer, make_hook, read):
    hook = make_hook()
    hook.watch(trainer.net)
    first, second = nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.5)
    logits = trainer.net(torch.randn(2, 3, 8, 8))
    first(logits, LABELS[:2])
    second(logits, LABELS[:2])
    found = functional.cross_entropy(logits, LABELS[:2])
    hook.record_loss("cross_entropy_loss", found)  # the same tensor again
    log = read(hook)
    assert set(log.names()) == {
        "CrossEntropyLoss_output_0",
        "CrossEntropyLoss_output_1",
        "cross_entropy_loss_output_0",
    }


def test_losses_of_each_picture_are_kept_whole_with_their_mean(trainer, make_hook, read):
    hook = make_hook(collections=[Collection("losses", (r"Loss_input",), (), Schedule(1))])
    hook.watch(trainer.net)
    loss = nn.CrossEntropyLoss(reduction="none")
    found = loss(trainer.net(torch.randn(3, 3, 8, 8)), LABELS[:3])
    log = read(hook)
    assert log.raw("CrossEntropyLoss_output_0", 0).tolist() == found.tolist()
    assert log.scalars("CrossEntropyLoss_output_0")[0] == pytest.approx(float(found.mean()))
    assert "CrossEntropyLoss_input_0" in log.names()


@pytest.mark.parametrize("raw", [False, True])
def test_losses_of_each_pixel_are_kept_as_statistics(make_hook, read, raw):
    net = nn.Conv2d(3, 3, 1)
    losses = Collection("losses", schedule=Schedule(1), reductions=Reductions(raw=raw))
    hook = make_hook(collections=[losses])
    hook.watch(net)
    labels = torch.zeros(2, 150, 150).long()
    found = functional.cross_entropy(net(torch.randn(2, 3, 150, 150)), labels, reduction="none")
    log = read(hook)
    name = "cross_entropy_loss_output_0"
    assert log.scalars(name)[0] == pytest.approx(float(found.mean()), rel=1e-5)
    assert log.statistics(name)[0].max == pytest.approx(float(found.max()))
    assert log.raw_steps(name) == ((0,) if raw else ())
