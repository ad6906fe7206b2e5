"""Steps count on where an earlier process of the same job ended, captured or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from clary.debugger import Collection, Mode, Schedule
from clary.formats.tensor_log import TensorLog, read_passes

EVERY_TEN = {"collections": [Collection("losses")], "schedule": Schedule(interval=10)}
KILLED = """
import sys, time, torch
from clary.debugger import Collection, Hook, Schedule
net = torch.nn.Linear(2, 1)
hook = Hook(sys.argv[1], collections=[Collection("losses")], schedule=Schedule(interval=10))
hook.watch(net)
for _ in range(17):
    torch.nn.functional.mse_loss(net(torch.zeros(1, 2)), torch.zeros(1, 1))
time.sleep(600)
"""


def test_a_hook_that_was_closed_is_followed_without_a_gap(trainer, make_hook, read):
    for steps in (17, 23):
        hook = make_hook(**EVERY_TEN)
        hook.watch(trainer.net)
        trainer.train(steps)
        trainer.validate(2)
        hook.close()
    log = read(hook)
    trained, validated = log.steps(Mode.TRAIN), log.steps(Mode.EVAL)
    assert [step.mode_step for step in trained] == [0, 10, 20, 30]
    assert [step.number for step in trained] == [0, 10, 22, 32]
    assert [(step.mode_step, step.number) for step in validated] == [(0, 17)]
    values = log.scalars("CrossEntropyLoss_output_0")
    expected = {number: trainer.losses[number] for number in (0, 10, 17, 22, 32)}
    assert values == pytest.approx(expected)


def test_a_hook_that_was_killed_loses_the_last_seconds_alone(tmp_path, trainer, make_hook, read):
    folder = tmp_path / "tensors"
    words = [sys.executable, "-c", KILLED, str(folder)]
    process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 120
        while read_passes(folder)[Mode.TRAIN] < 16 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    hook = make_hook(**EVERY_TEN)
    hook.watch(trainer.net)
    trainer.train(10)
    assert [step.mode_step for step in read(hook).steps()] == [0, 10, 20]


def test_a_count_that_was_left_empty_is_made_up_from_what_was_captured(
    tmp_path, trainer, make_hook
):
    hook = make_hook(**EVERY_TEN)
    hook.watch(trainer.net)
    trainer.train(15)
    hook.close()
    (count,) = (tmp_path / "tensors" / "statistics").glob(".*.passes")
    count.write_text("")
    hook = make_hook(**EVERY_TEN)
    hook.watch(trainer.net)
    trainer.train(1)
    assert hook.steps[Mode.TRAIN] == 11
    assert TensorLog(hook.folder).steps()[-1].number == 10


def test_a_hook_that_nobody_closed_gives_its_folder_to_the_next_one(trainer, make_hook, read):
    forgotten = make_hook()
    forgotten.watch(trainer.net)
    trainer.train(2)
    hook = make_hook()
    assert not forgotten.watching
    hook.watch(trainer.net)
    trainer.train(2)
    log = read(hook)
    assert [step.number for step in log.steps()] == [0, 1, 2, 3]
    assert not log.failures
