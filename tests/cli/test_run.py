"""`clary run` as a process: from pictures to an endpoint; kept, changed, killed, gone on with."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from clary.formats.workflow_record import (
    STAGES,
    Deployed,
    Evaluated,
    Predicted,
    StageName,
    StageRecord,
    Trained,
    Tuned,
    WorkflowRecord,
)
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.workflow import Workflow
from clary.settings import Settings
from tests.cli.conftest import Clary
from tests.conftest import make_picture, write_pictures
from tests.one_service import clary_environment

__all__ = ["clary_environment"]

TINY = (
    *("--model", "test_resnet", "--weights", "none", "--image-size", "32"),
    *("--precision", "fp32", "--augmentation", "none", "--batch-size", "8"),
)
SECONDS = 240.0
# The stages that write down the name of what they make before they make it.
NAMED: tuple[StageName, ...] = ("tune", "train", "deploy")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    return write_pictures(folder, splits={"train": 8, "valid": 4, "test": 3}, size=40)


def record_of(name: str, home: Settings) -> WorkflowRecord:
    record = WorkflowRecord.read(home.runs_dir / name)
    assert record is not None
    return record


def stage_of(name: str, stage: StageName, home: Settings) -> StageRecord | None:
    record = WorkflowRecord.read(home.runs_dir / name)
    return None if record is None else record.of(stage)


def ends(output: str) -> dict[str, str]:
    """`done` or `kept` by stage, of the lines that stages end with."""
    found = re.findall(r"^(\w+) +.* \((kept|[\d.:]+(?: s)?)\)$", output, flags=re.MULTILINE)
    return {stage: "kept" if how == "kept" else "done" for stage, how in found}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_in_every_stage_it_comes_to_an_endpoint_and_does_only_what_changed_again(
    clary: Clary, photos: Path, home: Settings, clary_environment: Mapping[str, str]
) -> None:
    words = ("run", photos, *TINY, "--trials", "2", "--epochs", "2")
    names = {}
    for stage in STAGES:
        process = started(words, clary_environment)
        wait_until(begun("photos", stage, home, named=stage in NAMED), process)
        process.kill()
        process.communicate()
        found = stage_of("photos", stage, home)
        assert found is not None
        if stage in NAMED:
            names[stage] = name_of(found)
    first = clary(*words)
    assert first.returncode == 0, first.stderr
    record = record_of("photos", home)
    assert [stage.status for stage in record.stages] == ["done"] * len(STAGES)
    assert {stage.stage: name_of(stage) for stage in record.stages if stage.stage in NAMED} == names
    assert list(ends(first.stdout)) == list(STAGES)
    assert list(ends(first.stdout).values())[:-1] == ["kept"] * 6
    lines = first.stdout.splitlines()
    assert lines[0].startswith(
        "check     45 pictures of 3 classes: 24 to learn from, 12 to tune by, 9 held out"
    )
    assert re.search(r"^train +2 epochs, the best .*; \d rules", first.stdout, re.MULTILINE)
    check_answers(record)
    assert lines[-1].startswith("photos is ")

    # What is to be copied works as it stands.
    command = next(line for line in lines if line.startswith("predict   clary "))
    asked = clary(*shlex.split(command)[2:])
    assert asked.returncode == 0, asked.stderr
    assert len(asked.stdout.splitlines()) == 7
    command = next(line for line in lines if line.startswith("boto3     clary "))
    with_boto3 = clary("exec", "--", sys.executable, *shlex.split(command)[5:])
    assert with_boto3.stdout.startswith("[[[0."), with_boto3.stderr

    again = clary(*words)
    assert again.returncode == 0, again.stderr
    assert ends(again.stdout) == dict.fromkeys(STAGES, "kept")
    assert again.stdout.splitlines()[-1] == "photos is as it was: every stage is kept"

    # More trials go on with those there are; fewer are enough.
    more = clary("run", photos, *TINY, "--trials", "3", "--epochs", "2", "--until", "tune")
    assert ends(more.stdout) == {"check": "kept", "tune": "done"}
    assert re.search(r"^tune +goes on with photos-\S+ as photos-\S+ …$", more.stdout, re.MULTILINE)
    tuned = record_of("photos", home).stages[1].found
    assert isinstance(tuned, Tuned)
    assert tuned.trials == 3
    assert ends(clary(*words, "--until", "tune").stdout)["tune"] == "kept"

    # Other options: what they change is done anew, into the same endpoint.
    other = clary("run", photos, *TINY, "--trials", "0", "--epochs", "1")
    assert other.returncode == 0, other.stderr
    expected = {stage: "done" for stage in STAGES if stage != "tune"}
    assert ends(other.stdout) == {**expected, "check": "kept"}
    assert "tune      left out: --trials is 0" in other.stdout
    deployed = record_of("photos", home).of("deploy")
    assert deployed is not None
    assert name_of(deployed) == names["deploy"] == "photos"
    assert clary("endpoints").stdout.count("InService") == 1

    # Other pictures.
    make_picture(0, 999, 40).save(photos / "train" / "class_0" / "new.jpg")
    changed = clary("run", photos, *TINY, "--trials", "0", "--epochs", "1", "--until", "check")
    assert ends(changed.stdout) == {"check": "done"}
    assert changed.stdout.splitlines()[-1] == (
        "Without --until, tune, train, evaluate, report, deploy and predict would follow"
    )


def check_answers(record: WorkflowRecord) -> None:
    predicted = record.stages[-1].found
    assert isinstance(predicted, Predicted)
    assert len(predicted.pictures) == 6
    assert {one.label for one in predicted.pictures} == {"class_0", "class_1", "class_2"}
    for one in predicted.pictures:
        assert one.answer == one.boto3_answer
        assert one.probability == pytest.approx(one.boto3_probability, abs=1e-2)


def begun(name: str, stage: StageName, home: Settings, *, named: bool) -> Callable[[], bool]:
    """Whether a stage has begun, and has written down the name of what it makes."""

    def has_begun() -> bool:
        found = stage_of(name, stage, home)
        return found is not None and (found.found is not None or not named)

    return has_begun


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started(words: tuple[str | Path, ...], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "clary", *map(str, words)],
        env={**environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def name_of(stage: StageRecord) -> str:
    found = stage.found
    assert isinstance(found, Tuned | Trained | Deployed)
    return found.endpoint if isinstance(found, Deployed) else found.job


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_stops_the_training_and_the_same_command_goes_on_from_its_checkpoint(
    clary: Clary, photos: Path, home: Settings, clary_environment: Mapping[str, str]
) -> None:
    words = ("run", photos, *TINY, "--name", "stopped", "--trials", "0", "--until", "train")
    words = (*words, "--epochs", "60")
    process = started(words, clary_environment)

    def is_learning() -> bool:
        found = stage_of("stopped", "train", home)
        if found is None or not isinstance(found.found, Trained):
            return False
        return (home.jobs_dir / found.found.job / "output" / "data" / "epochs.jsonl").is_file()

    wait_until(is_learning, process)
    os.kill(process.pid, signal.SIGINT)
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, printed + said
    assert "clary: stopping, what is known is kept" in said
    assert said.endswith("clary: stopped in train; the same command goes on there\n")
    stopped = stage_of("stopped", "train", home)
    assert stopped is not None
    ended = clary(*words)
    assert ended.returncode == 0, ended.stderr
    assert f"goes on from the checkpoint of {name_of(stopped)} as stopped-" in ended.stdout
    assert re.search(r"^train +60 epochs, the best", ended.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_second_ctrl_c_waits_for_nothing(
    photos: Path, home: Settings, clary_environment: Mapping[str, str]
) -> None:
    words = ("run", photos, *TINY, "--name", "left", "--trials", "0", "--epochs", "60")
    process = started(words, clary_environment)
    wait_until(lambda: stage_of("left", "train", home) is not None, process)
    os.kill(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert "stopping, what is known is kept" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert said == "clary: left what stops to itself; the same command goes on there\n"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_time_limit_cuts_tuning_and_training_which_leave_a_model_all_the_same(
    clary: Clary, photos: Path, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARY_HOME", str(home.home))
    checked = clary("run", photos, *TINY, "--name", "cut", "--until", "check")
    assert checked.returncode == 0, checked.stderr
    options = dict(
        zip((word.lstrip("-").replace("-", "_") for word in TINY[::2]), TINY[1::2], strict=True)
    )
    plan = WorkflowPlan.prepare(
        str(photos),
        {**options, "epochs": "100000"},
        home,
        name="cut",
        trials=2,
        until="evaluate",
    )
    # Shorter than a person may ask for: a tuning job of SageMaker's has a least of two minutes.
    plan = replace(plan, seconds=8)
    record = Workflow(plan, home).run()
    tuned, trained, evaluated = map(record.of, ("tune", "train", "evaluate"))
    assert tuned is not None
    assert trained is not None
    assert evaluated is not None
    # A slow machine has not begun to learn when half of the time is over.
    assert re.match(
        r"best of [12] of 2 trials, cut by --time-limit: valid_accuracy [01]\.\d+ by lr|"
        r"no trial has ended within its share of --time-limit",
        tuned.sentence,
    )
    assert isinstance(tuned.found, Tuned)
    assert re.match(r"[\d,]+ of 100000 epochs, cut by --time-limit", trained.sentence)
    assert isinstance(trained.found, Trained)
    assert (tuned.found.limit_s, trained.found.limit_s) == (8, 8)
    assert isinstance(evaluated.found, Evaluated)
    assert evaluated.found.pictures == 9
    # As much time again is no reason to go on.
    assert Workflow(plan, home).run() == record


def test_a_stage_that_fails_is_named_with_what_to_do(clary: Clary, tmp_path: Path) -> None:
    write_pictures(tmp_path / "one", classes=1, per_class=4, size=40)
    ended = clary("run", tmp_path / "one", *TINY)
    assert (ended.returncode, ended.stdout) == (1, "")
    first, second = ended.stderr.splitlines()
    assert first.startswith("clary: the stage check failed: ")
    assert "holds pictures of one class (class_0): a classifier needs at least 2" in first
    assert second == "clary: mend it, and run the same command again"
    unknown = clary("run", "digits", "--model", "resnet18x", "--weights", "none")
    assert unknown.returncode == 1
    assert "resnet18x" in unknown.stderr
    assert "Traceback" not in unknown.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "`clary run` needs the folder of your pictures"),
        (("nowhere",), "there is no folder or file nowhere"),
        (("digits", "--until", "deployed"), "--until is 'deployed' but must be one of check"),
        (("digits", "--trials", "many"), "--trials is 'many' but must be a whole number"),
        (("digits", "--time-limit", "90s"), "--time-limit is 90s but must be 2m to 182d"),
        (("digits", "--epoch", "3"), "did you mean --epochs?"),
    ],
    ids=("no data", "no such data", "no such stage", "no number", "too short", "no such option"),
)
def test_mistakes_begin_nothing(
    clary: Clary, home: Settings, words: tuple[str, ...], sentence: str
) -> None:
    ended = clary("run", *words)
    assert ended.returncode in {1, 2}
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (home.runs_dir / "digits" / "run.json").exists()
