"""What a hook sees of a real training, under the names and at the steps of SageMaker."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from clary.debugger import Collection, Hook, HookConfiguration, Mode, Reductions, Schedule
from clary.errors import UsageError
from tests.debugger.conftest import Net, Trainer

PARAMETERS = {"Net_conv.weight", "Net_conv.bias", "Net_wide.weight", "Net_wide.bias"}
PARAMETERS |= {"Net_fc.weight", "Net_fc.bias"}


def collections(*names, **words):
    return [Collection(name, **words) for name in names]


def test_losses_of_all_steps_are_kept_by_default(trainer, make_hook, read):
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(3)
    trainer.validate(2)
    trainer.train(1)
    log = read(hook)
    assert set(log.names()) == {"CrossEntropyLoss_output_0"}
    found = log.scalars("CrossEntropyLoss_output_0")
    assert list(found) == [0, 1, 2, 3, 4, 5]
    assert list(found.values()) == pytest.approx(trainer.losses)
    assert [step.mode_step for step in log.steps(Mode.TRAIN)] == [0, 1, 2, 3]
    assert [step.number for step in log.steps(Mode.EVAL)] == [3, 4]
    assert log.ended
    assert not log.failures


def test_parameters_are_seen_before_the_update_and_gradients_as_they_come(make_hook, read):
    trainer = Trainer()
    hook = make_hook(
        collections=collections(
            "weights", "biases", "gradients", reductions=Reductions(raw=True, histogram=True)
        ),
        schedule=Schedule(interval=2),
    )
    hook.watch(trainer.net)
    trainer.train(2)
    expected = {
        f"Net_{name}": value.detach().clone() for name, value in trainer.net.named_parameters()
    }
    trainer.train(1)
    gradients = {
        f"gradient/Net_{name}": value.grad
        for name, value in trainer.net.named_parameters()
        if value.requires_grad
    }
    log = read(hook)
    assert set(log.names()) == PARAMETERS | set(gradients) | {"CrossEntropyLoss_output_0"}
    for name, value in (expected | gradients).items():
        assert log.raw_steps(name) == (0, 2)
        np.testing.assert_array_equal(log.raw(name, 2), value)
        statistics = log.statistics(name)[2]
        assert statistics.size == value.numel()
        assert statistics.l2 == pytest.approx(float(value.norm()), rel=1e-5)
        assert sum(statistics.histogram.counts) == value.numel()
    moved = log.statistics("Net_fc.weight")[2].update_l2
    change = log.raw("Net_fc.weight", 2) - log.raw("Net_fc.weight", 0)
    assert moved == pytest.approx(np.linalg.norm(change), rel=1e-4)
    assert log.statistics("Net_fc.bias")[2].update_l2 == 0.0


def test_gradients_are_those_of_one_backward_pass_and_none_in_evaluation(make_hook, read):
    net = nn.Linear(2, 1)
    hook = make_hook(
        collections=collections("gradients", reductions=Reductions(raw=True)),
        schedule=Schedule(interval=1),
    )
    hook.watch(net)
    for _ in range(3):  # accumulated: nobody zeroes them
        net(torch.ones(1, 2)).sum().backward()
    hook.mode = Mode.EVAL
    net(torch.ones(1, 2)).sum().backward()
    log = read(hook)
    assert log.raw_steps("gradient/Linear_weight") == (0, 1, 2)
    assert log.raw("gradient/Linear_weight", 2).tolist() == [[1.0, 1.0]]
    assert float(net.weight.grad[0, 0]) == 4.0


def test_modules_inputs_and_outputs_bear_their_paths_and_count_on(trainer, make_hook, read):
    hook = make_hook(
        collections=[Collection("mine", ("relu_output", "fc_input", "^Net_"), ())],
        schedule=Schedule(interval=1),
    )
    hook.watch(trainer.net)
    trainer.train(1)
    names = set(read(hook).names()) - PARAMETERS
    assert names == {
        "relu_output_0",
        "relu_output_1",
        "fc_input_0",
        "Net_input_0",
        "Net_output_0",
        "CrossEntropyLoss_output_0",
    }


def test_inputs_are_seen_before_a_module_changes_them_in_place(make_hook, read):
    net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(inplace=True))
    hook = make_hook(collections=collections("inputs", "outputs"), schedule=Schedule(interval=1))
    hook.watch(net)
    net(torch.randn(8, 4))
    log = read(hook)
    assert log.statistics("1_input_0")[0].min < 0
    assert log.statistics("1_output_0")[0].min == 0
    assert log.statistics("1_input_0")[0].min == log.statistics("0_output_0")[0].min


def test_what_a_copy_does_within_a_step_is_not_seen(make_hook, read):
    net = nn.Sequential(nn.Linear(2, 2))
    hook = make_hook(collections=collections("outputs"), schedule=Schedule(interval=1))
    hook.watch(net)
    net(torch.ones(1, 2))
    copy.deepcopy(net)(torch.ones(1, 2))
    assert set(read(hook).names()) == {"0_output_0", "Sequential_output_0"}


def test_two_modules_of_one_class_have_names_of_their_own(make_hook, read):
    first, second = nn.Linear(2, 3), nn.Linear(3, 4)
    hook = make_hook(collections=collections("all"), schedule=Schedule(interval=1))
    hook.watch(first)
    hook.watch(second)
    second(first(torch.ones(1, 2))).sum().backward()
    log = read(hook)
    assert {"Linear_weight", "gradient/Linear_weight", "Linear_output_0"} < set(log.names())
    assert log.statistics("Linear_weight")[0].size == 6
    assert log.statistics("Linear_1_weight")[0].size == 12
    assert log.statistics("Linear_1_output_0")[0].size == 4


def test_of_two_backward_passes_the_first_gradient_is_kept(make_hook, read):
    net = nn.Linear(2, 1)
    hook = make_hook(collections=collections("gradients"), schedule=Schedule(interval=1))
    hook.watch(net)
    found = net(torch.ones(1, 2)).sum()
    found.backward(retain_graph=True)
    (found * 100).backward()
    assert read(hook).statistics("gradient/Linear_weight")[0].max == 1.0


def test_units_tell_which_channels_are_alive_and_what_pictures_hold(trainer, make_hook, read):
    hook = make_hook(
        collections=collections("activations", "input_image"), schedule=Schedule(interval=1)
    )
    hook.watch(trainer.net)
    with torch.no_grad():
        trainer.net.conv.bias[0] = -100.0  # a channel that never rises over 0
    trainer.train(1)
    log = read(hook)
    alive = log.units("relu_output_0", "positive")[0]
    assert alive.shape == (8,)
    assert alive[0] == 0.0
    assert 0 < alive[1] < 1
    assert (log.units("tanh_input_0", "active")[0] == 1).all()
    assert log.units("Net_input_0", "channel_means")[0].shape == (8, 3)
    assert "activations" in log.names()["tanh_input_0"].collections


def test_outputs_of_several_tensors_and_dicts_are_told_one_by_one(make_hook, read):
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            return {"a": self.inner(x), "b": (x, [x + 1])}

    net = Several()
    hook = make_hook(collections=collections("outputs"), schedule=Schedule(interval=1))
    hook.watch(net)
    net(torch.ones(1, 2))
    names = set(read(hook).names())
    assert names == {"inner_output_0", *(f"Several_output_{number}" for number in range(3))}


def test_a_parameter_that_two_modules_share_is_seen_once(make_hook, read):
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    net = nn.Sequential(first, second)
    hook = make_hook(collections=collections("weights"), schedule=Schedule(interval=1))
    hook.watch(net)
    hook.watch(net)
    net(torch.ones(1, 3))
    log = read(hook)
    assert set(log.names()) == {"Sequential_0.weight"}
    assert len(log.steps()) == 1


def test_what_a_script_records_is_kept_where_it_is_due(trainer, make_hook, read):
    hook = make_hook(
        collections=[Collection("mine", (), ("noise",))], schedule=Schedule(interval=2)
    )
    hook.watch(trainer.net)
    hook.record_scalar("before", 7)
    for step in range(4):
        trainer.train(1)
        hook.record("noise", np.full(5, step))
        hook.record("labels", torch.tensor([step]), ["labels"], whole=True)
        hook.record_scalar("accuracy", torch.tensor(step / 4))
    log = read(hook)
    assert list(log.statistics("noise")) == [0, 2]
    assert log.raw("labels", 3).tolist() == [3]
    assert log.scalars("scalar/accuracy") == {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75}
    assert log.scalars("scalar/before") == {0: 7.0}


def test_modes_are_set_or_follow_the_module(trainer, make_hook, read):
    hook = make_hook()
    hook.watch(trainer.net)
    assert hook.steps[Mode.TRAIN] == -1
    hook.mode = Mode.PREDICT
    trainer.train(2)
    assert hook.mode is Mode.PREDICT
    hook.mode = Mode.GLOBAL
    trainer.train(1)
    hook.mode = None
    trainer.validate(1)
    assert hook.steps == {Mode.TRAIN: -1, Mode.EVAL: 0, Mode.PREDICT: 1, Mode.GLOBAL: 3}
    assert len(read(hook).steps()) == 4


def test_a_log_that_is_there_is_gone_on_with(trainer, make_hook, read):
    for _ in range(2):
        hook = make_hook()
        hook.watch(trainer.net)
        trainer.train(2)
        hook.close()
    log = read(hook)
    assert [step.number for step in log.steps()] == [0, 1, 2, 3]
    assert list(log.scalars("CrossEntropyLoss_output_0").values()) == pytest.approx(trainer.losses)


def test_the_configuration_can_change_before_the_first_forward_pass_alone(trainer, make_hook):
    hook = make_hook()
    hook.watch(trainer.net)
    hook.configure(HookConfiguration(collections=(Collection("weights"),)))
    trainer.train(1)
    with pytest.raises(UsageError, match="first"):
        hook.configure(HookConfiguration())
    with pytest.raises(UsageError, match="one way"):
        Hook(hook.folder, HookConfiguration(), schedule=Schedule())


def test_a_dry_run_captures_nothing(trainer, make_hook):
    hook = make_hook(HookConfiguration(dry_run=True))
    hook.watch(trainer.net)
    trainer.train(1)
    hook.close()
    assert not hook.folder.exists()


def test_the_training_is_the_same_with_and_without(make_hook):
    alone = Trainer()
    alone.train(4)
    watched = Trainer()
    hook = make_hook(
        collections=collections("all", reductions=Reductions(raw=True)),
        schedule=Schedule(interval=1),
    )
    hook.watch(watched.net)
    torch.manual_seed(0)
    watched = Trainer(watched.net)
    watched.net.load_state_dict(Trainer().net.state_dict())
    torch.manual_seed(1)
    watched.train(4)
    other = Trainer()
    torch.manual_seed(1)
    other.train(4)
    assert watched.losses == other.losses


def test_a_watched_model_is_saved_and_copied(trainer, make_hook, read):
    hook = make_hook(collections=collections("all"), schedule=Schedule(interval=1))
    hook.watch(trainer.net)
    trainer.train(1)
    stored = io.BytesIO()
    torch.save(trainer.net, stored)
    copied = copy.deepcopy(trainer.net)
    copied(torch.randn(1, 3, 8, 8))
    stored.seek(0)
    loaded = torch.load(stored, weights_only=False)
    loaded(torch.randn(1, 3, 8, 8))
    trainer.train(1)
    assert len(read(hook).steps()) == 2


def test_what_is_saved_of_a_hook_needs_nothing_of_clary():
    code = (
        "import pickle, sys; call = pickle.loads(bytes.fromhex(sys.argv[1]));"
        "assert call(1, 2) is None; assert 'clary' not in sys.modules"
    )
    from clary.debugger.guarding import Guarded

    stored = pickle.dumps(Guarded(print, print)).hex()
    subprocess.run([sys.executable, "-c", code, stored], check=True)


def test_the_current_hook_is_the_last_one_that_is_open(make_hook, tmp_path):
    first, second = make_hook(), make_hook(folder=tmp_path / "other")
    assert Hook.current() is second
    Hook.set_current(first)
    assert Hook.current() is first
    first.close()
    assert Hook.current() is None


def test_mixed_precision_and_scaled_gradients(make_hook, read):
    trainer = Trainer(Net().to(memory_format=torch.channels_last))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    hook = make_hook(collections=collections("gradients", "outputs"), schedule=Schedule(interval=1))
    hook.watch(trainer.net)
    with torch.autocast("cpu", torch.bfloat16):
        loss = trainer.loss(trainer.net(torch.randn(4, 3, 8, 8)), torch.zeros(4).long())
    scaler.scale(loss).backward()
    log = read(hook)
    found = log.statistics("gradient/Net_fc.weight")[0]
    assert found.l2 == pytest.approx(float(trainer.net.fc.weight.grad.norm()), rel=1e-5)
    assert log.statistics("conv_output_0")[0].size == 4 * 8 * 6 * 6
