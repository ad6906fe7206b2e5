from __future__ import annotations

import shlex

import pytest

from clary.cli.parser import build_app
from clary.formats.tuning_record import CategoricalRange, Objective, TuningRecord
from clary.jobs.pages.verdict import Verdict
from clary.jobs.tuning_report.findings import look
from clary.jobs.tuning_report.verdict import judge
from tests.jobs.tuning_report.records import RANGES, build_record


def verdict(record: TuningRecord) -> Verdict:
    return judge(look(record))


def sentences(record: TuningRecord) -> str:
    return " ".join(verdict(record).sentences).replace("\u202f", " ")


def advice(record: TuningRecord) -> list[str]:
    return [one.what for one in verdict(record).advice]


def test_it_says_what_won_and_by_how_much() -> None:
    record = build_record(5, values=[0.8, 0.9, 0.85, 0.95, 0.7])
    assert verdict(record).headline == "Valid accuracy 95.0\u202f%: trial 4 of 5"
    assert (
        "10.0 points better than the trial in the middle (85.0 %) and 15.0 points better than "
        "trial 1 (80.0 %)"
    ) in sentences(record)


def test_a_loss_is_better_when_it_is_lower() -> None:
    record = build_record(
        5,
        values=[0.5, 0.25, 0.4, 0.3, 0.6],
        best=2,
        objective=Objective(name="average test loss", direction="Minimize"),
    )
    assert verdict(record).headline == "Average test loss 0.2500: trial 2 of 5"
    assert "0.1500 better than the trial in the middle (0.4000)" in sentences(record)


def test_equal_trials_are_called_so() -> None:
    record = build_record(6, values=[0.9] * 6)
    assert "All trials came out equal" in sentences(record)
    assert "Tune something else, or on more pictures" in advice(record)
    shared = build_record(4, values=[0.9, 0.8, 0.9, 0.7])
    assert "One trial is as good as it." in sentences(shared)


def accuracies(*rights: int) -> TuningRecord:
    """Trials that had so many of 153 pictures right, as a log says it."""
    return build_record(len(rights), values=[round(right / 153, 4) for right in rights], epochs=0)


def test_a_lead_of_a_picture_or_two_may_be_chance() -> None:
    narrow = accuracies(140, 147, 112, 146, 144, 148)
    assert look(narrow).pictures == 153
    assert "It leads by one picture, which may be chance." in sentences(narrow)
    assert "hardly anything better" in sentences(accuracies(140, 145, 112, 146, 144, 148))
    assert "Go on searching" not in advice(narrow)
    assert "chance" not in sentences(accuracies(140, 141, 112, 130, 144, 150))


@pytest.mark.parametrize(
    "values",
    [[0.9, 0.91, 0.93, 0.7, 0.6], [0.91234, 0.87654, 0.93217, 0.7123], [0.9, 0.8, 0.9042]],
    ids=["rounded", "no fractions", "few"],
)
def test_pictures_are_not_guessed(values: list[float]) -> None:
    assert look(build_record(len(values), values=values, epochs=0)).pictures is None


def test_it_says_what_mattered() -> None:
    importances = {"lr": 0.7, "dropout": 0.2, "batch_size": 0.07, "epochs": 0.03}
    record = build_record(12, importances=importances)
    assert (
        "What mattered most is lr (70 % of the differences), then dropout (20 %) and batch_size "
        "(7 %); epochs hardly mattered."
    ) in sentences(record)
    assert "Leave epochs as it is" in advice(record)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.5, 0.6, 0.7], "3 trials are too few to say"),
        ([0.5, 0.6, 0.7, 0.8, 0.9, 0.95], "may well find better ones"),
        ([0.9, 0.6, 0.7, 0.8, 0.5, 0.6], "The last 5 trials found nothing better"),
        ([0.5, 0.6, 0.5, 0.9, 0.5, 0.901], "hardly anything better"),
    ],
)
def test_it_says_whether_more_trials_would_help(values: list[float], says: str) -> None:
    record = build_record(len(values), values=values)
    assert says in sentences(record)
    assert ("Go on searching" in advice(record)) == ("may well" in says)


def test_a_grid_has_an_end() -> None:
    ranges = [CategoricalRange(name="batch_size", values=("16", "32", "64"))]
    record = build_record(3, strategy="Grid", ranges=ranges)
    assert "Every combination was tried" in sentences(record)


def test_the_best_of_many_is_not_oversold() -> None:
    assert "looks a little better than it is" in sentences(build_record(9))
    on_a_script = build_record(9, objective=Objective(name="score", direction="Maximize"))
    assert "looks a little better" not in sentences(on_a_script)


@pytest.mark.parametrize(
    ("lr", "ranges", "command"),
    [
        (0.099, RANGES, "lr=0.0001..1.0:log"),
        (0.000101, RANGES, "lr=1e-05..0.1:log"),
        (0.01, RANGES, None),
    ],
)
def test_a_best_value_at_an_end_of_its_range_asks_for_more(
    lr: float, ranges: tuple[object, ...], command: str | None
) -> None:
    record = build_record(6, ranges=ranges)
    assert record.best_trial
    middle = {"lr": lr, "dropout": 0.25, "batch_size": "16", "epochs": 6}
    trials = [
        trial.model_copy(update={"parameters": middle}) if trial.number == record.best else trial
        for trial in record.trials
    ]
    found = [
        one.command
        for one in verdict(record.model_copy(update={"trials": tuple(trials)})).advice
        if one.what.startswith("Look beyond")
    ]
    if command is None:
        assert found == []
    else:
        (line,) = found
        words = shlex.split(line or "")
        assert words[:6] == ["clary", "tune", "photos", "--model", "resnet18", "--no-report"]
        assert command in words
        assert not {"--lr", "--dropout", "--batch-size", "--epochs"} & set(words)
        assert {"dropout=0.0..0.5", "batch_size=16,32,64", "epochs=2..10"} <= set(words)


def test_failures_are_named_with_their_log() -> None:
    record = build_record(6, failed={2, 5})
    (failure,) = [one for one in verdict(record).advice if "failed" in one.what]
    assert failure.what == "Find out why 2 trials failed"
    assert failure.why == "Trial 2 ended with: RuntimeError: out of memory."
    assert failure.command == "clary jobs logs tuning-002-0badf00d"


def test_without_a_best_trial_the_cause_comes_first() -> None:
    nothing = verdict(build_record(0, completion="it was stopped"))
    assert (nothing.headline, nothing.sentences) == ("No trial has begun", ("It was stopped.",))
    assert verdict(build_record(3, failed={1, 2, 3})).headline == "All trials failed"
    silent = verdict(build_record(2, silent={1, 2}))
    assert silent.headline == "No trial said its valid accuracy"
    assert "clary jobs metrics tuning-001-0badf00d --regex" in (silent.advice[0].command or "")
    running = build_record(2, values=[0.5, 0.6])
    still = [trial.model_copy(update={"status": "InProgress"}) for trial in running.trials]
    unfinished = running.model_copy(update={"trials": tuple(still), "best": None})
    assert verdict(unfinished).sentences == ("2 trials are still running.",)


def with_trials(record: TuningRecord, **changes: object) -> TuningRecord:
    trials = tuple(trial.model_copy(update=changes) for trial in record.trials)
    return record.model_copy(update={"trials": trials})


def test_failures_are_told_before_what_was_stopped_or_silent() -> None:
    stopped = build_record(3, failed={1}, early={2}, silent={2, 3})
    found = verdict(stopped)
    assert found.headline == "No trial has succeeded"
    assert found.sentences == ("Trial 1 ended with: RuntimeError: out of memory.",)
    assert found.advice[0].command == "clary jobs logs tuning-001-0badf00d"


def test_what_was_stopped_before_it_had_a_value_is_not_called_silent() -> None:
    found = verdict(build_record(2, early={1, 2}, silent={1, 2}, status="Stopped"))
    assert found.headline == "Stopped before any trial had a value"
    assert found.sentences == ("2 trials were stopped before an epoch had ended.",)
    assert found.advice[0].command == "clary tune --resume tuning"


def test_pictures_that_changed_are_told_of() -> None:
    record = build_record(4)
    assert "The pictures changed" not in sentences(with_trials(record, pictures="a train=9"))
    seen = ["a train=9", None, "b train=8", "b train=8"]
    trials = [
        trial.model_copy(update={"pictures": pictures})
        for trial, pictures in zip(record.trials, seen, strict=True)
    ]
    changed = record.model_copy(update={"trials": tuple(trials)})
    assert changed.pictures_changed_at == 3
    assert "The pictures changed before trial 3" in sentences(changed)


@pytest.mark.parametrize("reason", [None, "", " \n "])
def test_a_failure_may_give_no_reason(reason: str | None) -> None:
    found = verdict(with_trials(build_record(2, failed={1, 2}), failure=reason))
    assert found.sentences == ("Trial 1 gave no reason.",)


def test_a_trial_that_was_stopped_has_left_no_model() -> None:
    values = [0.8, 0.9, 0.85]
    kept = verdict(build_record(3, values=values)).advice[0]
    assert "The model of trial 2 is kept as tuning-002-0badf00d" in kept.why
    stopped = verdict(build_record(3, values=values, early={2})).advice[0]
    assert stopped.what == kept.what
    assert "Trial 2 was stopped before its end and has left no model" in stopped.why
    assert stopped.why.replace("\u202f", " ").endswith(
        "is trial 3 (85.0 %), whose model is kept as tuning-003-0badf00d."
    )
    alone = verdict(build_record(3, values=values, early={1, 2, 3})).advice[0]
    assert "is kept" not in alone.why


@pytest.mark.parametrize(
    "record",
    [
        build_record(9, values=[0.5, 0.6, 0.5, 0.6, 0.55, 0.7, 0.8, 0.9, 0.95], failed={3}),
        build_record(3, failed={1, 2, 3}),
        build_record(2, silent={1, 2}),
    ],
    ids=["judged", "failed", "silent"],
)
def test_every_command_parses(record: TuningRecord) -> None:
    lines = [line for one in verdict(record).advice for line in (one.command or "").splitlines()]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "clary"
        build_app().parse_args(words[1:], exit_on_error=False, print_error=False)
