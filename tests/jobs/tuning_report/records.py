"""Records of tuning jobs whose objective follows from the parameters."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from clary.formats.tuning_record import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Objective,
    TrialRecord,
    TuningRecord,
)

RANGES = (
    ContinuousRange(name="lr", low=1e-4, high=0.1, scaling="Logarithmic"),
    ContinuousRange(name="dropout", low=0, high=0.5),
    CategoricalRange(name="batch_size", values=("16", "32", "64")),
    IntegerRange(name="epochs", low=2, high=10),
)


_BEST = "--lr 0.01 --dropout 0.1 --batch-size 16 --epochs 5 --no-report"


def build_record(
    count: int,
    *,
    values: Sequence[float] | None = None,
    failed: Collection[int] = (),
    early: Collection[int] = (),
    silent: Collection[int] = (),
    epochs: int = 5,
    **changes: Any,
) -> TuningRecord:
    """A record of `count` trials; `failed`, `early` and `silent` are numbers of trials.

    The accuracy of trial n is `values[n - 1]`, or falls with the distance of lr from 0.01.
    """
    rng = np.random.default_rng(count)
    trials = []
    for number in range(1, count + 1):
        lr = float(10 ** rng.uniform(-4, -1))
        value = 0.95 - 0.1 * abs(math.log10(lr) + 2) + 0.001 * float(rng.normal())
        value = values[number - 1] if values else value
        trials.append(
            TrialRecord(
                number=number,
                job=f"tuning-{number:03}-0badf00d",
                status="Failed"
                if number in failed
                else "Stopped"
                if number in early
                else "Completed",
                parameters={
                    "lr": lr,
                    "dropout": float(rng.uniform(0, 0.5)),
                    "batch_size": str(rng.choice(["16", "32", "64"])),
                    "epochs": int(rng.integers(2, 11)),
                },
                value=None if number in failed or number in silent else value,
                curve=tuple(value - 0.3 * 0.5**k for k in range(1, epochs + 1)),
                seconds=3.0 + number,
                early_stopped=number in early,
                failure="Traceback\nRuntimeError: out of memory" if number in failed else None,
            )
        )
    judged = [trial for trial in trials if trial.value is not None]
    best = max(judged, key=lambda trial: trial.value or 0, default=None)
    known: dict[str, Any] = {
        "name": "tuning",
        "status": "Completed",
        "objective": Objective(name="valid_accuracy", direction="Maximize"),
        "strategy": "Bayesian",
        "ranges": RANGES,
        "trials": trials,
        "best": best.number if best else None,
        "data": "photos",
        "command": f"clary train photos --model resnet18 {_BEST}" if best else None,
    }
    return TuningRecord.model_validate({**known, **changes})
