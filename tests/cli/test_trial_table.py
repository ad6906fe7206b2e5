"""Lines of trials: they fit the terminal, and their cells stand below their headings."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from clary.cli.trial_table import TrialTable, clock, duration, epochs_text, plain_line, short_value
from clary.sdk.tuning_description import TrialDescription, TuningDescription, parameter_ranges
from clary.sdk.tuning_resume import NumberedTrial
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Space

NOW = datetime(2026, 11, 21, 14, 32, tzinfo=timezone.utc)


def tuning(*, many: int = 0) -> TuningDescription:
    space = Space(
        (
            ContinuousRange("lr", 1e-4, 0.1, "Logarithmic"),
            ContinuousRange("weight_decay", 1e-4, 0.3, "Logarithmic"),
            CategoricalRange("batch_size", ("16", "32", "64")),
            *(IntegerRange(f"number_{index}", 0, 9) for index in range(many)),
        )
    )
    config = {
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "valid_accuracy"},
        "ParameterRanges": parameter_ranges(space),
    }
    return TuningDescription(
        {
            "HyperParameterTuningJobConfig": config,
            "TrainingJobDefinition": {"AlgorithmSpecification": {"TrainingImage": "mine"}},
        }
    )


def trial(status: str = "Completed", **changes: Any) -> TrialDescription:
    raw = {
        "TrainingJobName": "photos-003-0123abcd",
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"lr": "0.00123456", "weight_decay": "1e-05", "batch_size": "32"},
        "TrainingStartTime": NOW,
        "TrainingEndTime": NOW + timedelta(seconds=4.14),
        "ObjectiveStatus": "Succeeded",
        "FinalHyperParameterTuningJobObjectiveMetric": {"Value": 0.92157},
        **changes,
    }
    return TrialDescription({name: value for name, value in raw.items() if value is not None}, 1)


def test_cells_stand_below_their_headings_at_80_columns() -> None:
    table = TrialTable(tuning(), 80)
    assert table.heading() == [
        "trial  status     epochs        lr    weight  batch     valid     time",
        "                                       decay   size  accuracy",
    ]
    line = table.line(NumberedTrial(3, trial()), {}, "10/10")
    assert line == "    3  done        10/10   0.00123     1e-05     32    0.9216    4.1 s"
    assert table.left_out == ()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_are_never_wider_than_the_terminal(width: int) -> None:
    table = TrialTable(tuning(many=20), width)
    assert table.left_out
    one = NumberedTrial(12345, trial("Failed", FailureReason="x" * 100))
    lines = [*table.heading(), table.line(one, {}, "100000/100000")]
    assert max(map(len, lines)) <= width


def test_a_trial_that_waits_or_runs() -> None:
    table = TrialTable(tuning(), 80)
    pending = {
        "TrainingStartTime": None,
        "TrainingEndTime": None,
        "ObjectiveStatus": "Pending",
        "FinalHyperParameterTuningJobObjectiveMetric": None,
    }
    waiting = table.line(NumberedTrial(3, trial("InProgress", **pending)), {}, "")
    assert waiting.split() == ["3", "waiting", "0.00123", "1e-05", "32"]
    begun = {**pending, "TrainingStartTime": datetime.now(tz=timezone.utc)}
    metrics = {"valid_accuracy": 0.5, "epoch": 3.0}
    runs = trial("InProgress", **begun)
    running = table.line(
        NumberedTrial(3, runs), metrics, epochs_text(runs, metrics, {"epochs": "10"}, 1)
    )
    assert running.split()[:7] == ["3", "running", "3/10", "0.00123", "1e-05", "32", "0.5000"]


def test_a_plain_line_can_be_read_by_programs() -> None:
    assert plain_line(NumberedTrial(7, trial()), tuning()) == (
        "trial 7: done valid_accuracy=0.9216 lr=0.00123 weight_decay=1e-05 batch_size=32 "
        "seconds=4.1"
    )
    lacking = trial("Failed", ObjectiveStatus="Failed")
    assert plain_line(NumberedTrial(7, lacking), tuning()).startswith("trial 7: failed valid_a")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("0.0123456", "0.0123"), ("64", "64"), ('"64"', "64"), ("sgd", "sgd"), ("inf", "inf"),
     ("3.0", "3.0"), ("1e-05", "1e-05"), ("123456789.5", "1.23e+08")],
)  # fmt: skip
def test_short_values(text: str, shown: str) -> None:
    assert short_value(text) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(4.14, "4.1 s"), (125, "2:05"), (3725, "1:02:05")])
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_clock_shows_whole_seconds() -> None:
    assert [clock(seconds) for seconds in (0.4, 59.6, 3725)] == ["0:00", "1:00", "1:02:05"]
