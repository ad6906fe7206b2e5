"""Whatever happens to a hook, the training goes on and the log says why it ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from clary.debugger import Collection, Reductions, Schedule, background
from clary.formats.tensor_log import TensorLog
from tests.debugger.conftest import Net, Trainer

WHOLE = Reductions(raw=True)
SCRIPT = """
import torch
from torch import nn
from clary.debugger import Collection, Hook, Reductions, Schedule
net = nn.Linear(100, 100)
hook = Hook(
    "tensors",
    collections=[Collection("weights", reductions=Reductions(raw=True))],
    schedule=Schedule(interval=1),
)
hook.watch(net)
loss = nn.MSELoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss(net(torch.randn(4, 100)), torch.zeros(4, 100)).backward()
        optimizer.step()
"""


def run(tmp_path, code):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(code)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def log_of(tmp_path):
    log = TensorLog(tmp_path / "tensors")
    log.refresh()
    return log


def test_a_full_disk_ends_the_watching_alone(tmp_path):
    done = run(
        tmp_path,
        """
        import resource
        train(2)
        hook.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        train(20)
        hook.close()
        print("trained")
        """,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "trained"), done.stderr
    assert done.stderr.count("clary debugger:") == 1
    log = log_of(tmp_path)
    assert len(log.steps()) >= 1  # the second one waits for the next forward pass
    assert any("disk is full" in failure for failure in log.failures)


def test_a_folder_that_is_deleted_ends_the_watching_alone(trainer, make_hook, capsys):
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(2)
    hook.flush()
    shutil.rmtree(hook.folder)
    trainer.train(2)
    hook.flush()
    trainer.train(2)
    assert not hook.watching
    hook.close()
    assert "deleted" in capsys.readouterr().err
    assert len(trainer.losses) == 6


def test_a_folder_that_cannot_be_made_is_said_once(trainer, make_hook, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    hook = make_hook(folder=tmp_path / "file" / "tensors")
    hook.watch(trainer.net)
    trainer.train(3)
    hook.close()
    assert capsys.readouterr().err.count("clary debugger:") == 1
    assert len(trainer.losses) == 3


def test_a_hook_that_fails_lets_go_and_keeps_the_traceback(make_hook, read, capsys):
    class Hostile(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            raise TypeError("nobody asks me")

    class Odd(torch.nn.Module):
        def forward(self, x):
            return x.as_subclass(Hostile)

    class Careless(Net):
        def __init__(self):
            super().__init__()
            self.odd = Odd()

        def forward(self, images):
            self.odd(torch.ones(2))
            return super().forward(images)

    trainer = Trainer(Careless())
    hook = make_hook(collections=[Collection("outputs")], schedule=Schedule(start=1, interval=1))
    hook.watch(trainer.net)
    trainer.train(4)
    assert not hook.watching
    log = read(hook)
    assert "nobody asks me" in log.failures[0]
    assert "Traceback" in log.failures[0]
    assert capsys.readouterr().err.count("clary debugger:") == 1


def test_captures_that_nobody_can_write_in_time_are_dropped_and_counted(
    trainer, make_hook, read, monkeypatch
):
    monkeypatch.setattr(background, "RECORDINGS", 0)
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(3)
    log = read(hook)
    assert not log.steps()
    assert any("dropped" in failure for failure in log.failures)
    assert any("3 captures" in failure for failure in log.failures)


def test_a_script_that_raises_has_its_log_written_to_the_end(tmp_path):
    done = run(tmp_path, "train(3)\nraise RuntimeError('theirs')")
    assert done.returncode == 1
    assert "theirs" in done.stderr
    log = log_of(tmp_path)
    assert log.ended
    assert [step.number for step in log.steps()] == [0, 1, 2]
    assert not log.failures


def test_forked_processes_write_nothing_and_end(tmp_path):
    done = run(
        tmp_path,
        """
        import os, sys
        train(2)
        child = os.fork()
        if child == 0:
            train(5)
            hook.record_scalar("child", 1)
            hook.close()
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        train(1)
        """,
    )
    assert done.returncode == 0, done.stderr
    log = log_of(tmp_path)
    assert [step.number for step in log.steps()] == [0, 1, 2]
    assert not log.failures


def test_a_loader_with_workers_ends_as_without_a_hook(tmp_path):
    done = run(
        tmp_path,
        """
        from torch.utils.data import DataLoader
        class Pictures(torch.utils.data.Dataset):
            def __len__(self): return 8
            def __getitem__(self, index): return torch.randn(100)
        for batch in DataLoader(Pictures(), 4, num_workers=2):
            train(1)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert len(log_of(tmp_path).steps()) == 2


def test_the_training_does_not_wait_for_the_writer(trainer, make_hook):
    hook = make_hook(collections=[Collection("all", reductions=WHOLE)], schedule=Schedule(1))
    hook.watch(trainer.net)
    trainer.train(200)
    began = time.monotonic()
    hook.close()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("value", [object(), "text", {"a": 1}])
def test_what_is_no_tensor_is_not_kept(trainer, make_hook, read, value):
    hook = make_hook()
    hook.watch(trainer.net)
    trainer.train(1)
    hook.record("mine", value, whole=True)
    trainer.train(1)
    assert len(read(hook).steps()) == 2
