from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clary.errors import FormatError
from clary.formats.tuning_record import (
    TUNING_FILE,
    VERSION,
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Objective,
    TrialRecord,
    TuningRecord,
)

RANGES = (
    ContinuousRange(name="lr", low=1e-4, high=0.1, scaling="Logarithmic"),
    IntegerRange(name="epochs", low=2, high=10),
    CategoricalRange(name="batch_size", values=("32", "64")),
)
figures = st.none() | st.floats()


@st.composite
def trials(draw: st.DrawFn, number: int) -> TrialRecord:
    return TrialRecord(
        number=number,
        job=f"job-{number:03}",
        status=draw(st.sampled_from(["Completed", "Stopped", "Failed", "InProgress"])),
        parameters={
            "lr": draw(st.floats(1e-4, 0.1)),
            "epochs": draw(st.integers(2, 10)),
            "batch_size": draw(st.sampled_from(["32", "64"])),
        },
        value=draw(figures),
        curve=tuple(draw(st.lists(figures, max_size=4))),
        started=draw(
            st.none() | st.datetimes(datetime(2000, 1, 1), timezones=st.just(timezone.utc))
        ),
        seconds=draw(st.none() | st.floats(0, 1e6)),
        failure=draw(st.none() | st.text(st.characters(codec="utf-8"), max_size=20)),
    )


def record(**changes: Any) -> TuningRecord:
    known = {
        "name": "tuning",
        "status": "Completed",
        "objective": Objective(name="loss", direction="Minimize"),
        "strategy": "Bayesian",
        "ranges": RANGES,
    }
    return TuningRecord.model_validate({**known, **changes})


def changed(tuned: ContinuousRange, **changes: Any) -> dict[str, Any]:
    return {**tuned.model_dump(), **changes}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_written_is_read(tmp_path: Path, data: st.DataObject) -> None:
    rows = tuple(data.draw(trials(number)) for number in range(1, data.draw(st.integers(0, 4)) + 1))
    judged = [trial.number for trial in rows if trial.value is not None]
    written = record(trials=rows, best=data.draw(st.sampled_from(judged)) if judged else None)
    written.write(tmp_path / "new")
    assert TuningRecord.read(tmp_path / "new") == written


def test_a_value_keeps_its_kind(tmp_path: Path) -> None:
    parameters = {"lr": 0.01, "epochs": 3, "batch_size": "32"}
    trial = TrialRecord(number=1, job="job", status="Completed", parameters=parameters)
    record(trials=(trial,)).write(tmp_path)
    (read,) = TuningRecord.read(tmp_path).trials
    assert read.parameters == parameters
    assert [type(value) for value in read.parameters.values()] == [float, int, str]


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_value(figure: float) -> None:
    trial = TrialRecord(
        number=1, job="job", status="Completed", parameters={}, value=figure, curve=(0.5, figure)
    )
    assert (trial.value, trial.curve) == (None, (0.5, None))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"best": 1}, "the best trial, 1, is not among those with a value"),
        ({"ranges": (*RANGES, RANGES[0])}, "a parameter has two ranges"),
        ({"importances": {"momentum": 1.0}}, "without a range: momentum"),
        ({"ranges": [{"kind": "integer", "name": "epochs", "low": 3, "high": 2}]}, "is empty"),
        ({"ranges": ()}, "at least 1 item"),
        ({"ranges": [changed(RANGES[0], low=0)]}, "begins at 0.0, which has no logarithm"),
        ({"ranges": [changed(RANGES[0], scaling="ReverseLogarithmic", high=1)]}, "within 0 ≤ x"),
        (
            {"trials": [{"number": 1, "job": "a", "status": "Failed", "parameters": {}}] * 2},
            "two trials have the same number",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        record(**changes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"version": VERSION + 1}, "install a newer Clary"),
        ([], "version None"),
        ({"version": VERSION}, "is not the record of a tuning job"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(FormatError, match="is missing"):
        TuningRecord.read(tmp_path)
    (tmp_path / TUNING_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FormatError, match=says):
        TuningRecord.read(tmp_path)
