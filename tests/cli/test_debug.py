"""`clary debug` on folders: findings first, then rules, then curves; live, and in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Clary
from tests.cli.watched import GRADIENT, LOSS, issue, save_rule, save_step, save_tensors

ORIGINAL = Path(__file__).parents[1] / "debugger" / "data" / "original" / "log"


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "photos-1"
    save_tensors(folder / "output" / "tensors")
    save_rule(folder / "rules", "LossNotDecreasing", "IssuesFound", issue("LossNotDecreasing"))
    save_rule(folder / "rules", "Overfit", "NoIssuesFound")
    return folder


def test_findings_come_first_then_rules_then_the_losses(clary: Clary, watched: Path) -> None:
    ended = clary("debug", watched)
    assert (ended.returncode, ended.stderr) == (1, "")
    places = [
        ended.stdout.index(text)
        for text in (
            "photos-1  steps 0 to 19 · 2 rules: 1 found an issue, 1 found nothing wrong",
            "LossNotDecreasing  at step 7 of training",
            "  why  A large learning rate.",
            "  try  --lr 0.001.",
            "LossNotDecreasing  IssuesFound",
            "Overfit            NoIssuesFound",
            f"{LOSS} by step  ⠒ train  • valid",
            f"1 more tensor, such as --tensor {GRADIENT}",
        )
    ]
    assert places == sorted(places)
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_a_tensor_a_rule_and_the_names_can_be_asked_for(clary: Clary, watched: Path) -> None:
    drawn = clary("debug", watched, "--tensor", "gradient/.*", "--statistic", "abs_mean")
    assert f"{GRADIENT}: mean of the absolute values by step" in drawn.stdout
    assert LOSS not in drawn.stdout
    changed = clary("debug", watched, "--tensor", GRADIENT, "--statistic", "update")
    assert "only weights that were saved twice have it" in " ".join(changed.stdout.split())
    healthy = clary("debug", watched, "--rule", "Overfit")
    assert "LossNotDecreasing" not in healthy.stdout
    named = clary("debug", watched, "--names")
    assert f"{LOSS}  steps 0 to 19  scalar" in named.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tensor", "nothing"], "no tensor nothing was saved of photos-1"),
        (["--rule", "Undertraining"], "photos-1 has no rule Undertraining: it has LossNot"),
        (["--statistic", "median"], "--statistic is 'median' but must be one of l2, l1"),
        (["--tensor", "("], "'(' is no regular expression"),
    ],
)
def test_mistakes_are_one_sentence(
    clary: Clary, watched: Path, words: list[str], sentence: str
) -> None:
    ended = clary("debug", watched, *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"clary: {sentence}")
    assert len(ended.stderr.splitlines()) == 1


def test_what_is_not_there_is_one_sentence(clary: Clary, tmp_path: Path) -> None:
    missing = clary("debug", "other")
    assert missing.returncode == 2
    assert missing.stderr.startswith("clary: there is no job")
    path = clary("debug", tmp_path / "runs" / "tensors")
    assert path.stderr.startswith(f"clary: there is no folder {tmp_path}/runs/tensors: ")
    (tmp_path / "empty").mkdir()
    for words in ([], ["--tensorboard", "runs"]):
        empty = clary("debug", tmp_path / "empty", *words)
        assert (empty.returncode, empty.stdout) == (2, "")
        assert empty.stderr.startswith(f"clary: {tmp_path}/empty holds neither a job nor tensors")


def test_a_hook_that_has_saved_nothing_yet_is_no_empty_folder(clary: Clary, tmp_path: Path) -> None:
    save_tensors(tmp_path / "tensors", steps=0)
    begun = clary("debug", tmp_path / "tensors")
    assert (begun.returncode, begun.stdout) == (0, "tensors  nothing was saved\n")
    save_rule(tmp_path / "photos-1" / "rules", "Overfit", "InProgress")
    job = clary("debug", tmp_path / "photos-1")
    assert (job.returncode, job.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tensor", "("], "'(' is no regular expression"),
        (["--tensor", "nothing"], "no tensor nothing was saved of photos-1"),
        (["--rule", "Undertraining"], "photos-1 has no rule Undertraining: it has LossNot"),
        (["--tensorboard", "runs"], "--tensorboard writes files alone: leave out --follow"),
    ],
)
def test_mistakes_are_told_while_following(
    clary: Clary, watched: Path, words: list[str], sentence: str
) -> None:
    ended = clary("debug", watched, "-f", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"clary: {sentence}")


def test_what_event_files_cannot_show_is_refused(clary: Clary, watched: Path) -> None:
    for option in (["--tensor", LOSS], ["--rule", "Overfit"], ["--names"]):
        ended = clary("debug", watched, "--tensorboard", "runs", *option)
        assert ended.returncode == 2
        assert ended.stderr.endswith(f"leave out {option[0]}\n")


def test_aws_needs_a_region_and_keys(clary_environment: Mapping[str, str], tmp_path: Path) -> None:
    bare = {k: v for k, v in clary_environment.items() if not k.startswith("AWS_")}
    bare |= {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    for added, sentence in (
        ({}, "no region of AWS is given: set AWS_DEFAULT_REGION"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "no keys of AWS are found: set AWS_ACCESS_KEY_ID"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "clary", "debug", "photos-1", "--aws"],
            env={**bare, **added},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith(f"clary: {sentence}")


def test_what_the_original_library_wrote_is_shown_alike(clary: Clary) -> None:
    ended = clary("debug", ORIGINAL, "--names")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("log  steps 0 to ")
    assert f"{LOSS}  " in ended.stdout
    drawn = clary("debug", ORIGINAL)
    assert f"{LOSS} by step  ⠒ train" in drawn.stdout


def test_event_files_for_tensorboard(clary: Clary, watched: Path, tmp_path: Path) -> None:
    ended = clary("debug", watched, "--tensorboard", "runs")
    assert (ended.returncode, ended.stdout) == (0, "tensorboard --logdir runs\n")
    assert list((tmp_path / "runs").rglob("events.out.tfevents.*"))
    save_tensors(tmp_path / "begun", steps=0)
    empty = clary("debug", tmp_path / "begun", "--tensorboard", "runs")
    assert empty.returncode == 1
    assert empty.stderr.startswith("clary: nothing was saved in ")


def test_following_tells_what_is_new_until_the_end(
    clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "photos-1"
    writer = save_tensors(folder / "output" / "tensors", ended=False)
    save_rule(folder / "rules", "LossNotDecreasing", "InProgress")
    with subprocess.Popen(
        [sys.executable, "-m", "clary", "debug", str(folder), "-f"],
        env={**clary_environment, "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "LossNotDecreasing: InProgress\n"
        save_step(writer, 20)
        save_rule(folder / "rules", "LossNotDecreasing", "IssuesFound", issue("LossNotDecreasing"))
        lines = [process.stdout.readline() for _ in range(2)]
        writer.close()
        rest, errors = process.communicate(timeout=60)
    assert lines[0].startswith("LossNotDecreasing: IssuesFound")
    assert lines[1] == "warning: LossNotDecreasing at step 7 of training: the loss rises\n"
    assert (process.returncode, errors) == (1, "")
    assert rest.startswith("photos-1  steps 0 to 20 · 1 rule found an issue\n")


@pytest.mark.slow
def test_a_terminal_shows_it_anew_and_ctrl_c_leaves(
    clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    import pty

    folder = tmp_path / "photos-1"
    save_tensors(folder / "output" / "tensors", ended=False)
    save_rule(folder / "rules", "Overfit", "InProgress")
    pid, terminal = pty.fork()
    if pid == 0:
        words = [sys.executable, "-m", "clary", "debug", str(folder), "--follow"]
        environment = {**clary_environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        os.execve(sys.executable, words, environment)
    shown, pressed = b"", False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # what a terminal answers when the other side has gone
            break
        if not pressed and b"by step" in shown:
            os.write(terminal, b"\x03")
            pressed = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    text = shown.decode()
    assert "1 rule is still judging" in text
    assert "Traceback" not in text
