"""Which limit of a StoppingCondition a job has passed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clary.service.supervisor.deadlines import DEFAULT_RUNTIME_S, exceeded
from clary.service.supervisor.transitions import Event
from tests.service.supervisor.conftest import new_job

SPOT = {"MaxRuntimeInSeconds": 10, "MaxWaitTimeInSeconds": 20}


@pytest.mark.parametrize(
    ("condition", "spot", "times", "now_s", "expected"),
    [
        ({"MaxRuntimeInSeconds": 10}, False, {"started_ms": 0, "running_ms": 5_000}, 15, None),
        (
            {"MaxRuntimeInSeconds": 10},
            False,
            {"started_ms": 0, "running_ms": 5_000},
            16,
            Event.RUNTIME_EXCEEDED,
        ),
        ({"MaxRuntimeInSeconds": 10}, False, {"started_ms": 0}, 1000, None),
        ({}, False, {"started_ms": 0, "running_ms": 0}, DEFAULT_RUNTIME_S, None),
        (
            {},
            False,
            {"started_ms": 0, "running_ms": 0},
            DEFAULT_RUNTIME_S + 1,
            Event.RUNTIME_EXCEEDED,
        ),
        (SPOT, True, {"started_ms": 0}, 21, Event.WAIT_EXCEEDED),
        (SPOT, False, {"started_ms": 0}, 21, None),
        ({"MaxPendingTimeInSeconds": 7200}, False, {}, 7201, Event.PENDING_EXCEEDED),
        ({"MaxPendingTimeInSeconds": 7200}, False, {"started_ms": 7_000_000}, 7201, None),
    ],
)
def test_limits(
    condition: dict[str, int],
    spot: bool,
    times: dict[str, Any],
    now_s: int,
    expected: Event | None,
) -> None:
    job = new_job("limited", StoppingCondition=condition, EnableManagedSpotTraining=spot)
    assert exceeded(replace(job, created_ms=0, **times), now_s * 1000) == expected
