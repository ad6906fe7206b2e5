"""Evaluations of whole epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clary.profiler.diagnosis import diagnose
from tests.profiler.made_profiles import MadeJob


def evaluated_each_epoch(folder: Path, batches: int) -> MadeJob:
    job = MadeJob(folder)
    job.facts = replace(job.facts, steps_per_epoch=50)
    job.initialize(4.0)
    for _ in range(4):
        job.train(50)
        job.evaluate(batches, 0.09)
    return job


def test_a_third_once_an_epoch_is_how_it_is_done(tmp_path: Path) -> None:
    assert diagnose(evaluated_each_epoch(tmp_path, 50).end()) == ()


def test_more_is_told_in_epochs(tmp_path: Path) -> None:
    (found,) = diagnose(evaluated_each_epoch(tmp_path, 120).end())
    assert found.evidence.startswith("evaluating takes 5")
    assert found.change.startswith("evaluate in larger batches or on fewer pictures, or every ")
    assert "epochs (every " in found.change
