"""What waits for the writer is bounded, and costs the training nothing more once it is full."""

from __future__ import annotations

import os

import pytest
from torch import nn

from clary.debugger import Collection, Reductions, Schedule, background
from clary.formats.tensor_log import TensorLog


@pytest.fixture
def slow_folder(tmp_path):
    """A log whose writer waits until the test reads from a pipe that stands for a file of it."""
    folder = tmp_path / "tensors"
    (folder / "statistics").mkdir(parents=True)
    os.mkfifo(folder / "statistics" / ".worker_0.reserve")
    return folder


def let_writer_go_on(folder):
    with (folder / "statistics" / ".worker_0.reserve").open("rb") as pipe:
        pipe.read()


def test_what_finds_no_room_is_not_even_copied(slow_folder, trainer, make_hook, monkeypatch):
    monkeypatch.setattr(background, "BYTES", 1 << 16)
    seen = []

    class Seen(nn.Parameter):
        def detach(self):
            seen.append(self)
            return super().detach()

    trainer.net.wide.weight = Seen(trainer.net.wide.weight.data)
    hook = make_hook(
        folder=slow_folder,
        collections=[Collection("weights", reductions=Reductions(raw=True))],
        schedule=Schedule(interval=1),
    )
    hook.watch(trainer.net)
    trainer.train(2)
    copied = len(seen)
    trainer.train(20)
    assert copied > 0
    assert len(seen) == copied
    let_writer_go_on(slow_folder)
    hook.close()
    log = TensorLog(slow_folder)
    assert [step.number for step in log.steps()] == [0]
    assert any("21 captures were dropped" in failure for failure in log.failures)
