"""The last lines of `clary tune`, from moments that are made up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from clary.cli.following_trials import _REASON_LIMIT, _View
from clary.cli.tuning_end import print_summary
from clary.formats.tuning_record import CategoricalRange, Objective, TuningRecord
from clary.sdk.tuning_description import TrialDescription, TuningDescription
from clary.sdk.tuning_resume import NumberedTrial, number_on
from clary.sdk.tuning_snapshot import TuningSnapshot
from tests.cli.test_trial_table import NOW, trial, tuning

RECORD = TuningRecord(
    name="photos",
    status="Completed",
    objective=Objective(name="valid_accuracy", direction="Maximize"),
    strategy="Random",
    ranges=(CategoricalRange(name="lr", values=("1", "2")),),
    command="clary train photos --lr 0.1",
)


def moment(*trials: TrialDescription, **changes: Any) -> TuningSnapshot:
    raw = {
        **tuning().raw,
        "HyperParameterTuningJobName": "photos",
        "HyperParameterTuningJobStatus": "Completed",
        "CreationTime": NOW,
        "HyperParameterTuningEndTime": NOW + timedelta(seconds=9),
        **changes,
    }
    return TuningSnapshot(TuningDescription(raw), number_on((), trials), 0, {})


def numbered(number: int, status: str, value: float | None, **changes: Any) -> TrialDescription:
    metric = None if value is None else {"Value": value}
    return trial(
        status,
        TrainingJobName=f"photos-{number:03}-0123abcd",
        FinalHyperParameterTuningJobObjectiveMetric=metric,
        ObjectiveStatus="Failed" if value is None else "Succeeded",
        **changes,
    )


def lines(found: TuningSnapshot, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = print_summary(found, RECORD, page="report.html")
    return code, capsys.readouterr().out.splitlines()


def test_the_model_of_the_best_trial_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = lines(moment(numbered(1, "Completed", 0.8), numbered(2, "Completed", 0.9)), capsys)
    assert code == 0
    assert said[-4:] == [
        "report    report.html",
        "model     clary predict photos-002-0123abcd PICTURE…",
        "train     clary train photos --lr 0.1",
        "photos is done in 9.0 s.",
    ]


def test_a_best_trial_that_was_stopped_has_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    first, best = numbered(1, "Completed", 0.8), numbered(2, "Stopped", 0.9)
    _, said = lines(moment(first, best), capsys)
    assert said[-4:-1] == [
        "          trial 2 was stopped before its end and has left no model",
        "model     clary predict photos-001-0123abcd PICTURE…  (trial 1: 0.8000)",
        "train     clary train photos --lr 0.1",
    ]
    _, alone = lines(moment(best), capsys)
    assert not [line for line in alone if line.startswith("model ")]


def test_the_best_is_found_where_trials_were_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    found = moment(numbered(2, "Completed", 0.9), numbered(5, "Completed", 0.8))
    assert [one.number for one in found.trials] == [2, 5]
    _, said = lines(found, capsys)
    assert "best      trial 2 of 2: valid_accuracy 0.9000" in said


def test_the_reason_that_all_share_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    reason = {"FailureReason": "AlgorithmError:\n  no weights"}
    failed = [numbered(number, "Failed", None, **reason) for number in (1, 2)]
    words = {"HyperParameterTuningJobStatus": "Failed", "FailureReason": "No training job"}
    code, said = lines(moment(*failed, **words), capsys)
    assert code == 1
    assert said[-2] == "photos failed after 9.0 s: No training job"
    assert said[-1] == "All that failed did so alike: AlgorithmError: no weights"
    other = numbered(3, "Failed", None, FailureReason="another")
    _, said = lines(moment(*failed, other, **words), capsys)
    assert said[-1] == "`clary jobs logs photos-001-0123abcd` says why the first one failed"


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "Deleting"])
def test_only_what_is_completed_is_done(status: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = moment(numbered(1, "Completed", 0.9), HyperParameterTuningJobStatus=status)
    code, said = lines(found, capsys)
    assert (code, said[-1]) == (1, f"photos is {status} after 9.0 s")


def test_a_long_reason_is_cut_with_a_sign(capsys: pytest.CaptureFixture[str]) -> None:
    words = "x" * (_REASON_LIMIT + 9)
    view = _View(Console(highlight=False), None)
    view.update(moment(numbered(1, "Failed", None, FailureReason=words)))
    last = capsys.readouterr().out.splitlines()[-1].strip()
    assert last == f"{words[:_REASON_LIMIT]} … (`clary jobs logs photos-001-0123abcd` says all)"


def test_numbers_go_on_behind_those_before() -> None:
    before = [NumberedTrial(4, numbered(4, "Completed", 0.5))]
    own = [numbered(1, "Completed", 0.5), numbered(3, "Completed", 0.5)]
    assert [one.number for one in number_on(before, own)] == [5, 7]
