"""The lines of a training: readable by people and by regular expressions."""

from __future__ import annotations

import io
import re

import torch
from rich.console import Console

from clary.jobs.progress import PlainProgress, TerminalProgress, epoch_line, progress_for
from clary.vision.observer import EpochEnded, RunStarted, StepEnded

EPOCH = EpochEnded(2, 10, 0.5, 0.75, 0.625, 0.7, 3e-4, 1.25, 812.04, best=True)
LINE = (
    r"epoch (\d+)/(\d+): train_loss=([0-9.]+) train_accuracy=([0-9.]+) "
    r"valid_loss=([0-9.]+) valid_accuracy=([0-9.]+)"
)


def told(progress):
    run = RunStarted(torch.nn.Linear(1, 1), ("a", "b"), 1, 10, 4, 8)
    progress.message("the batch [red] is 8")
    progress.progress("features", 5, 10)
    progress.progress("features", 10, 10)
    progress.run_started(run)
    progress.epoch_started(1)
    for step in range(4):
        progress.step_ended(StepEnded("train", 1, step, torch.tensor(0.5), 8, 1e-3))
    progress.epoch_ended(EPOCH)
    progress.run_ended(None)


def test_epoch_line_is_read_by_a_regular_expression():
    match = re.match(LINE, epoch_line(EPOCH))
    assert match.groups() == ("2", "10", "0.5000", "0.7500", "0.6250", "0.7000")
    assert epoch_line(EPOCH).endswith(" best")


def test_plain_lines_hold_no_control_characters():
    text = io.StringIO()
    told(PlainProgress(Console(file=text, width=40)))
    lines = text.getvalue().splitlines()
    assert lines[0] == "note: the batch [red] is 8"
    assert lines[1] == "features: 10 of 10 pictures"
    assert re.match(LINE, lines[2])
    assert "\x1b" not in text.getvalue()


def test_terminal_shows_a_bar_and_keeps_the_epoch_line():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    assert isinstance(progress_for(console), TerminalProgress)
    told(progress_for(console))
    assert re.search(LINE, text.getvalue())
    assert "img/s" in text.getvalue()
