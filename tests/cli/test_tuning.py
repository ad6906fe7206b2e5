"""`clary tune` as a process, with the service that it starts: ends, stops and resumes."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from clary.formats.service_record import ServiceRecord
from clary.formats.tuning_record import TuningRecord
from clary.sdk.session import Session
from clary.sdk.tuning_job import TuningJob
from clary.settings import Settings
from tests.cli.conftest import Clary
from tests.conftest import write_pictures
from tests.one_service import clary_environment

__all__ = ["clary_environment"]

TINY = (
    *("--model", "test_resnet", "--weights", "none", "--image-size", "32"),
    *("--precision", "fp32", "--augmentation", "none"),
)
SPACE = ("--space", "lr=1e-4..1e-1:log", "batch-size=4,8")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    return write_pictures(folder, splits={"train": 8, "valid": 4}, size=40)


def record_of(name: str, home: Settings) -> TuningRecord:
    return TuningRecord.read(home.tuning_dir / name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_its_report_and_going_on(
    clary: Clary, photos: Path, home: Settings, tmp_path: Path
) -> None:
    words = (*SPACE, "--trials", "2", "--parallel", "2", "--epochs", "2")
    ended = clary("tune", photos, *TINY, *words, "--name", "one", "--objective", "valid_loss")
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"(Started the Clary service on \S+\n)?", ended.stderr)
    lines = ended.stdout.splitlines()
    assert lines[0] == "36 pictures of 3 classes: 24 to train on, 12 to judge by"
    assert lines[1].startswith("2 warnings about them: `clary check ")
    assert lines[2] == "Tuning one: lr, batch_size in 2 trials"
    trials = [line for line in lines if line.startswith("trial ")]
    assert len(trials) == 2
    assert all(re.search(r"done valid_loss=\d\.\d{4} lr=\S+ batch_size=[48]", t) for t in trials)
    assert lines[-1].startswith("one is done in ")
    record = record_of("one", home)
    assert (record.status, len(record.trials), record.data) == ("Completed", 2, str(photos))
    assert (home.tuning_dir / "one" / "report.html").is_file()
    assert [len(trial.curve) for trial in record.trials] == [2, 2]
    assert not {"skip_check", "no_report"} & set(record.fixed)
    assert {trial.pictures for trial in record.trials} == {record.trials[0].pictures}
    assert str(record.trials[0].pictures).endswith("train=24 valid=12")

    # The command that is named trains what the best trial was.
    command = next(line for line in lines if line.startswith("train ")).removeprefix("train")
    assert command.strip() == record.command
    best = record.best_trial
    assert best is not None
    again = clary(*shlex.split(command)[1:], "--name", "again", "--no-report")
    assert again.returncode == 0
    said = clary("jobs", "metrics", "again", "--regex", r"^best .*valid_loss=(\S+)")
    assert said.returncode == 0
    assert said.stdout.startswith(f"{best.value:g} ")
    assert clary("jobs", "metrics", best.job).stdout.count("valid_loss") == 1

    refused = clary("tune", "--resume")
    assert refused.returncode == 2
    assert "the tuning job one has made all its 2 trials: give --trials 12" in refused.stderr
    more = clary("tune", "--resume", "one", "--trials", "3", "--no-report")
    assert more.returncode == 0, more.stderr
    assert more.stdout.startswith("Going on with one as one-2: 2 trials are known, 1 to come\n")
    assert "trial 3: done" in more.stdout
    assert len(record_of("one-2", home).trials) == 3
    # The third trial came later, but a person means the training.
    assert clary("jobs", "show").stdout.startswith("job       again\n")
    reported = clary("report", "one-2", "-o", "page.html")
    assert (reported.returncode, reported.stderr) == (0, "")
    assert "<html" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stopped_search_keeps_what_is_known(
    clary: Clary, clary_environment: Mapping[str, str], photos: Path, home: Settings
) -> None:
    # So many that they have not ended before the search is stopped, however late that is.
    many = ("--trials", "700", "--parallel", "1")
    words = [*TINY, *SPACE, *many, "--name", "parts", "--no-report"]
    with subprocess.Popen(
        [sys.executable, "-m", "clary", "tune", str(photos), *words, "--epochs", "3"],
        env=clary_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as search:
        assert search.stdout is not None
        try:
            shown = ""
            while "trial 1:" not in shown:
                line = search.stdout.readline()
                assert line, search.stderr.read() if search.stderr else ""
                shown += line
            search.send_signal(signal.SIGINT)
            output, errors = search.communicate(timeout=300)
        finally:
            search.kill()
    assert search.returncode == 130, errors
    assert "clary: stopping parts, what is known is kept; Ctrl-C again leaves it" in errors
    assert "Go on with it: clary tune --resume parts" in output
    known = record_of("parts", home)
    assert known.status == "Stopped"
    assert known.best is not None
    assert "\nbest      trial " in shown + output
    again = clary("tune", "--resume", "--detach", "--trials", str(len(known.trials) + 1))
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == "`clary tune --attach parts-2` shows it"
    attached = clary("tune", "--attach", "parts-2", "--no-report")
    assert attached.returncode == 0, attached.stderr
    assert attached.stdout.startswith("trial 1: done valid_accuracy=")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_terminal_shows_a_table_that_fits(
    clary_environment: Mapping[str, str], photos: Path, home: Settings
) -> None:
    words = [*TINY, *SPACE, "--trials", "2", "--epochs", "2", "--name", "shown", "--no-report"]
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**clary_environment, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        program = [sys.executable, "-m", "clary", "tune", str(photos), *words]
        os.execve(sys.executable, program, environment)
    shown, status = b"", None
    try:
        while block := _read(terminal):
            shown += block
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode("utf-8", "replace"))
    assert "trial  status     epochs  " in text
    assert re.search(r"[01] of 2 done · [12] (running|waiting)", text)
    assert re.search(r"    [12]  done +2/2  ", text)
    assert "best      trial " in text
    table = [line for line in re.split(r"[\r\n]+", text) if re.match(r" +[12]  ", line)]
    assert max(map(len, table)) <= 80


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what a terminal answers when the other side has gone
        return b""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_that_runs_is_stopped_by_its_name(
    clary: Clary, photos: Path, home: Settings
) -> None:
    words = (*TINY, *SPACE, "--epochs", "500", "--name", "long", "--skip-check", "--detach")
    started = clary("tune", photos, *words)
    assert started.returncode == 0, started.stderr
    refused = clary("tune", "--resume", "long")
    assert refused.returncode == 2
    assert "is running: `clary tune --attach long` shows it" in refused.stderr
    assert clary("jobs", "stop", "long").stdout == "long is stopping\n"
    session = Session.on_this_machine(home, record=ServiceRecord.read(home))
    assert TuningJob(session, "long").wait().status == "Stopped"
