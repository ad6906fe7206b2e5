"""`clary profile` and `clary exec --profile`: as a person types them, without a service."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from clary.cli.client import parted_words
from clary.cli.profile_text import say_where_time_went
from clary.formats.job_directory import JobDirectory
from clary.sdk.rule_evaluations import RuleEvaluation
from tests.cli.conftest import Clary
from tests.profiler.made_profiles import slow_loading, well_built


@pytest.fixture
def profiled(clary_environment: Mapping[str, str]) -> Path:
    """A job of this home."""
    directory = JobDirectory(Path(clary_environment["CLARY_HOME"]) / "jobs" / "photos-1")
    directory.create()
    directory.write_inputs({"epochs": "1"}, {})
    slow_loading(directory.root / "output" / "profiler")
    return directory.root


def test_the_verdict_comes_first_and_the_page_last(clary: Clary, profiled: Path) -> None:
    for words in ([], ["photos-1"], [str(profiled)]):
        ended = clary("profile", *words)
        assert (ended.returncode, ended.stderr) == (0, "")
        lines = ended.stdout.splitlines()
        assert lines[0].startswith("photos-1")
        assert "of the training waits for data" in lines[1]
        assert lines[-1] == f"page: {profiled}/profile.html"
        assert max(map(len, lines[:-1])) <= 80
    assert "waiting for data" in (profiled / "profile.html").read_text(encoding="utf-8")


def test_two_jobs_are_compared(clary: Clary, profiled: Path, tmp_path: Path) -> None:
    well_built(tmp_path / "better")
    ended = clary("profile", "photos-1", "better", "-o", "both.html")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "better" in ended.stdout
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "Compared with better" in page
    ended = clary("profile", "photos-1", "better")
    assert ended.stdout.endswith(f"{profiled}/profile-better.html\n")


def test_a_trace_for_perfetto(clary: Clary, profiled: Path, tmp_path: Path) -> None:
    ended = clary("profile", "photos-1", "--no-page", "--trace", "steps.json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "page: " not in ended.stdout
    assert not (profiled / "profile.html").exists()
    assert json.loads((tmp_path / "steps.json").read_text())["otherData"]["job"] == "photos-1"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("profile", "photo-1"), "there is no job photo-1: did you mean photos-1?"),
        (("profile", "latest", "photo-1"), "there is no job photo-1: did you mean photos-1?"),
        (("profile", "runs/1"), "there is no folder runs/1: give a job's name"),
        (("profile", "--no-page", "--open"), "--open is about the page: leave it out"),
        (("profile", "--no-page", "-o", "a.html"), "--output is about the page: leave it out"),
        (("profile", "s3:/photos"), "there is no folder s3:/photos"),
        (("profile", "--trace", "/no/x.json"), "/no/x.json cannot be written"),
        (("exec",), "`clary exec` needs a program: `clary exec -- aws s3 ls` runs one whose AWS"),
        (("exec", "--"), "`clary exec` needs a program: "),
        (("exec", "--profile"), "`clary exec --profile` needs a program, as in `clary exec --pro"),
        (("exec", "--full", "--", "true"), "--full says how --profile records: add --profile"),
        (("exec", "--output", "x", "true"), "--output says how --profile records: add --profile"),
        (("exec", "--profil", "--", "true"), "`clary exec` has no option --profil: did you mean"),
        (("exec", "--profile", "--interval-ms", "3", "true"), "--interval-ms is '3' but must be"),
        (("exec", "--profile", "--", "no-such-program"), "the command 'no-such-program' was not"),
        (("train", "digits", "--profile", "none"), "--profile is 'none' but must be one of steps"),
        (("train", "--profile", "photos/"), "--profile is 'photos/' but must be one of steps, fu"),
    ],
)
def test_mistakes_are_one_sentence(
    clary: Clary, profiled: Path, words: tuple[str, ...], sentence: str
) -> None:
    if sentence.startswith("/no/") and os.geteuid() == 0:
        (profiled / "file").write_text("")
        words = (*words[:-1], str(profiled / "file" / "x.json"))
        sentence = f"{profiled}/file/x.json cannot be written"
    ended = clary(*words)
    assert ended.returncode in {1, 2, 127}
    assert ended.stderr.startswith(f"clary: {sentence}")
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr


def test_the_options_of_a_command_are_its_own() -> None:
    for words, options, command in (
        ("python a.py --output x --profile", "", "python a.py --output x --profile"),
        ("-- python a.py --full", "", "python a.py --full"),
        ("--profile --output x python a.py --help", "--profile --output x", "python a.py --help"),
        ("--profile --full -- a -- b", "--profile --full", "a -- b"),
        ("--profile --output=x --", "--profile --output=x", ""),
        ("--interval-ms 100", "--interval-ms 100", ""),
    ):
        assert parted_words(words.split()) == (options.split(), command.split())


SCRIPT = textwrap.dedent(
    """
    import sys
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    import beside
    model = torch.nn.Linear(64, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    data = TensorDataset(torch.randn(400, 64), torch.randint(0, 4, (400,)))
    for epoch in range(3):
        for inputs, labels in DataLoader(data, batch_size=8):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    print(sys.argv[1:], beside.WORD, sys.stdin.read())
    sys.exit(7)
    """
)


def test_any_script_is_profiled_without_a_service(
    clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("WORD = 'beside'")
    words = ["exec", "--profile", "--output", "seen", "python", "train.py", "--help", "--lr", "1"]
    path = os.pathsep.join([str(Path(sys.executable).parent), clary_environment["PATH"]])
    ended = subprocess.run(
        [sys.executable, "-m", "clary", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**clary_environment, "PATH": path, "COLUMNS": "80"},
        input="typed",
    )
    # What the command writes and ends with is its own; what was seen stands on stderr.
    assert (ended.returncode, ended.stdout) == (7, "['--help', '--lr', '1'] beside typed\n")
    assert "150 training steps of 8 pictures" in " ".join(ended.stderr.split())
    assert f"page: {tmp_path}/seen/profile.html" in ended.stderr
    assert not Path(clary_environment["CLARY_HOME"]).exists()
    shown = subprocess.run(
        [sys.executable, "-m", "clary", "profile", "seen", "--no-page"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**clary_environment, "COLUMNS": "80"},
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("seen  cpu")


def test_signals_reach_the_command(clary_environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "wait.sh").write_text(
        "trap 'kill $!; echo caught; exit 9' TERM\nsleep 60 & echo ready\nwait\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "clary", "exec", "--profile", "--", "sh", "wait.sh"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clary_environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        said = process.stdout.readline()
        process.communicate(timeout=60)
    assert said == "caught\n"
    assert process.returncode == 9


def said(rule: RuleEvaluation, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    say_where_time_went(console, (rule,), "photos-1")
    return stream.getvalue()


def test_a_training_ends_with_what_holds_it_back() -> None:
    details = (
        "RuleEvaluationConditionMet: Evaluation of the rule ProfilerReport at step 5 resulted in "
        "the condition being met\n"
        "In 40 s it took 200 training steps.\n"
        "61 % of each step waits for its data.\n"
        "Set --workers 4: the training loop would be about 1.9 × as fast.\n"
    )
    shown = said(RuleEvaluation("ProfilerReport", "IssuesFound", details))
    assert shown == (
        "time      61 % of each step waits for its data. Set --workers 4: the training\n"
        "          loop would be about 1.9 × as fast.\n"
        "see       clary profile photos-1\n"
    )
    cut = said(RuleEvaluation("ProfilerReport", "IssuesFound", details.splitlines()[0]))
    assert cut.startswith("time      its judge was interrupted")
    wide = said(RuleEvaluation("ProfilerReport", "IssuesFound", details), 300).splitlines()
    assert max(map(len, wide)) <= 100
    healthy = "In 40 s it took 200 training steps.\nComputing takes 84 %.\n"
    healthy += "It is well built: nothing stands out to change."
    assert said(RuleEvaluation("ProfilerReport", "NoIssuesFound", healthy)).splitlines() == [
        "time      It is well built: nothing stands out to change.",
        "see       clary profile photos-1",
    ]


def test_a_report_that_failed_says_why() -> None:
    shown = said(RuleEvaluation("ProfilerReport", "Error", "the disk is full\nTraceback"))
    assert shown.startswith("time      the profile was not judged: the disk is full\n")
    assert said(RuleEvaluation("ProfilerReport", "InProgress", "")) == ""
    assert said(RuleEvaluation("CPUBottleneck", "IssuesFound", "the CPU is busy")) == ""
