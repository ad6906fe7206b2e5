"""`clary train` in a terminal: a live bar, and Ctrl-C as a person presses it."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Mapping

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_bar_moves_and_ctrl_c_keeps_the_checkpoint(
    clary_environment: Mapping[str, str],
) -> None:
    words = ["train", "digits", "--name", "one", "--model", "test_resnet", "--weights", "none"]
    words += ["--image-size", "32", "--augmentation", "none", "--epochs", "200", "--no-report"]
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**clary_environment, "TERM": "xterm", "COLUMNS": "100"}
        os.execve(sys.executable, [sys.executable, "-m", "clary", *words], environment)
    shown, pressed = b"", False
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # what a terminal answers when the other side has gone
            break
        shown += block
        if not pressed and b"epoch 2/200: train_loss=" in shown:
            os.write(terminal, b"\x03")
            pressed = True
    if not pressed:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert pressed, shown[-2000:]
    assert os.waitstatus_to_exitcode(status) == 130
    text = shown.decode("utf-8", "replace")
    assert "img/s" in text
    assert "/8000" in text  # 40 steps in each of 200 epochs
    assert "stopping one, its checkpoint is kept" in text
    assert "Go on with it: clary train --resume one" in text
    assert "Traceback" not in text
