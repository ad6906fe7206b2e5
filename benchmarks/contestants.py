"""What runs in a contestant's process; `finetune.py` starts it, never a person.

usual-race    the usual script in sections       clary-race   Clary in sections
usual-epochs  the usual script for whole epochs  clary-run    Clary for a whole run
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sections import Sections


def usual_race(given: dict[str, Any]) -> None:
    import usual_script

    sections = Sections(**given["sections"])
    args = usual_script.parse_arguments([*given["arguments"], "--epochs", "1000000"])
    usual_script.fit(args, before_epoch=sections.epoch_started, after_batch=sections.batch_done)


def usual_epochs(given: dict[str, Any]) -> None:
    started = time.perf_counter()
    import usual_script

    args = usual_script.parse_arguments(given["arguments"])
    epochs: list[float] = []
    usual_script.fit(args, after_epoch=lambda seconds, _: epochs.append(seconds))
    whole = time.perf_counter() - started
    print(json.dumps({"epochs": epochs, "start": whole - sum(epochs)}))


def clary_race(given: dict[str, Any]) -> None:
    finetune, observer = _clary()
    sections = Sections(**given["sections"])

    class Clock(observer.Observer):  # type: ignore[misc, name-defined]
        def epoch_started(self, epoch: int) -> None:
            sections.epoch_started()

        def phase_started(self, phase: str) -> None:
            # A section's end stops all clocks but the wall's, by which checkpoints are due:
            # they would come far more often than in a run that nobody stops.
            if phase == "checkpoint":
                sections.paused()

        def phase_ended(self, phase: str) -> None:
            if phase == "checkpoint":
                sections.resumed()

        def step_ended(self, step: Any) -> None:
            if step.mode == "train":
                sections.batch_done(step.batch_size)

    with tempfile.TemporaryDirectory() as output:
        options = {**given["options"], "epochs": 100_000}
        finetune(given["data"], output=output, observers=[Clock()], **options)


def clary_run(given: dict[str, Any]) -> None:
    finetune, observer = _clary()
    curve: list[dict[str, float]] = []

    class Curve(observer.Observer):  # type: ignore[misc, name-defined]
        def epoch_ended(self, epoch: Any) -> None:
            curve.append({"train": epoch.train_loss, "valid": epoch.valid_loss})

    with tempfile.TemporaryDirectory() as output:
        finetune(given["data"], output=output, observers=[Curve()], **given["options"])
    print(json.dumps(curve))


def _clary() -> tuple[Any, Any]:
    """Import Clary as `clary.jobs.train` does: the allocator is set before torch is loaded."""
    from clary.vision.before_torch import prepare_process

    prepare_process()
    from clary.vision import finetune, observer

    return finetune, observer


PARTS = {
    "usual-race": usual_race,
    "usual-epochs": usual_epochs,
    "clary-race": clary_race,
    "clary-run": clary_run,
}

if __name__ == "__main__":
    PARTS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))
