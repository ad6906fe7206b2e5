"""The contestant's side of a race: work in sections, stand still between them.

A contestant is a process that leads its own process group. After its warm-up and after every
section it stops the whole group (SIGSTOP), loader threads and worker processes included, so that
nothing of it runs while another contestant is on the clock. `measuring.py` wakes it again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


class Sections:
    """Counts training batches into sections and reports each as a line of JSON on stdout.

    Only training is on the clock: an epoch's validation and checkpoints, which come between the
    last batch of one epoch and `epoch_started` of the next, are not. What an epoch's first batch
    waits for (worker processes, prefetching) is.
    """

    def __init__(self, *, warm_up: int, batches: int) -> None:
        self._left = warm_up
        self._batches = batches
        self._warm = False
        self._images = 0
        self._seconds = 0.0
        self._steps: list[float] = []
        self._since = time.perf_counter()
        # The protocol's own stream: what the contestant prints goes to stderr from here on.
        self._lines = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def epoch_started(self) -> None:
        """Start the clock for an epoch's first batch."""
        self._since = time.perf_counter()

    def paused(self) -> None:
        """Stop the clock for what is not measured."""
        self._seconds += time.perf_counter() - self._since

    def resumed(self) -> None:
        """Let the clock run again."""
        self._since = time.perf_counter()

    def batch_done(self, images: int) -> None:
        """Count a batch of so many images; stand still when it ends the section."""
        now = time.perf_counter()
        self._steps.append(now - self._since)
        self._seconds += self._steps[-1]
        self._images += images
        self._left -= 1
        if self._left == 0:
            line = {"images": self._images, "seconds": self._seconds, "steps": self._steps}
            self._lines.write(json.dumps(line if self._warm else {}) + "\n")
            sys.stderr.flush()
            os.killpg(os.getpgrp(), signal.SIGSTOP)
            self._warm = True
            self._left, self._images, self._seconds = self._batches, 0, 0.0
            self._steps = []
        self._since = time.perf_counter()
