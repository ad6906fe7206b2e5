"""What a training says when it has ended: a person's may go on, a trial may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.errors import Interrupted
from clary.formats.job_directory import TUNING_OBJECTIVE, JobDirectory
from clary.jobs.training_end import resumable


@pytest.mark.parametrize(
    ("name", "hyperparameters", "goes_on"),
    [
        ("photos-1", {}, True),
        # The best ones of a tuning job, as people pass them on to a training of their own.
        ("photos-1", {TUNING_OBJECTIVE: '"valid_accuracy"'}, True),
        ("photos-001-0a1b2c3d", {TUNING_OBJECTIVE: '"valid_accuracy"'}, False),
    ],
)
def test_who_is_told_how_to_go_on(
    tmp_path: Path, name: str, hyperparameters: dict[str, str], goes_on: bool
) -> None:
    directory = JobDirectory(tmp_path / name)
    directory.create()
    directory.hyperparameters_file.write_text(json.dumps(hyperparameters))
    said = str(resumable(Interrupted("stopped after epoch 2"), directory))
    assert said.startswith("stopped after epoch 2")
    assert (f"`clary train --resume {name}`" in said) == goes_on
