"""Any command, profiled: nobody stands between it and its terminal, and what was seen is said."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clary.formats.client_environment import SHIMS
from clary.formats.profiler_configuration import (
    CONFIGURATION_VARIABLE,
    FOLDER_VARIABLE,
    FULL_OPERATORS,
    NODE_VARIABLE,
    ProfilerConfiguration,
)
from clary.formats.system_metrics import SystemMetrics
from tests.waiting import PATIENCE_S, until

PYTHON = sys.executable


def command(*arguments: str) -> list[str]:
    return [PYTHON, "-m", "clary.jobs.exec", *arguments]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("CLARY_")}


def run(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def profiled(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return run(folder, "--profile", "--output", "seen", "--", *words, given=given)


def metrics(folder: Path) -> SystemMetrics:
    read = SystemMetrics(folder)
    read.refresh()
    return read


def test_streams_and_exit_code_are_the_commands(tmp_path: Path) -> None:
    done = profiled(tmp_path, "sh", "-c", "cat; echo oops >&2; exit 7", given="what was typed\n")
    assert done.returncode == 7
    assert done.stdout == "what was typed\n"
    assert done.stderr.startswith("oops\n")
    # The summary follows, with where the page is.
    assert str(tmp_path / "seen" / "profile.html") in done.stderr
    assert (tmp_path / "seen" / "profile.html").exists()
    assert len(metrics(tmp_path / "seen").series("Memory", "MemoryUsedPercent")[0]) >= 1


def test_a_command_that_is_killed_counts_as_a_shell_counts(tmp_path: Path) -> None:
    assert profiled(tmp_path, "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL


def test_what_the_command_takes_is_measured_to_its_end(tmp_path: Path) -> None:
    burn = "import time; end = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    profiled(tmp_path, PYTHON, "-c", burn)
    times, cpu = metrics(tmp_path / "seen").series("Process", "CPUUtilization")
    assert len(times) >= 1
    assert cpu.max() > 10


def test_python_is_told_where_to_record(tmp_path: Path) -> None:
    names = (FOLDER_VARIABLE, CONFIGURATION_VARIABLE, NODE_VARIABLE, "PYTHONPATH", "PYTHONSAFEPATH")
    shown = "; ".join(f"print(os.environ.get({name!r}))" for name in names)
    done = profiled(tmp_path, PYTHON, "-c", f"import os; {shown}")
    folder = tmp_path / "seen"
    path = os.environ.get("PYTHONPATH")
    assert done.stdout.splitlines() == [
        str(folder),
        str(folder / "profilerconfig.json"),
        "algo-1",
        f"{SHIMS}:{path}" if path else str(SHIMS),
        str(os.environ.get("PYTHONSAFEPATH")),
    ]


def test_full_and_the_interval_stand_in_the_configuration(tmp_path: Path) -> None:
    run(tmp_path, "--profile", "--full", "--interval-ms", "100", "--output", "seen", "--", "true")
    configuration = ProfilerConfiguration.read(tmp_path / "seen" / "profilerconfig.json")
    assert configuration == ProfilerConfiguration(interval_ms=100, operators=FULL_OPERATORS)


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "learn.py").write_text("print('learned')")
    for _ in range(2):
        assert run(tmp_path, "--profile", "--", PYTHON, "learn.py").returncode == 0
    folders = sorted(path.name for path in (tmp_path / "clary-profile").iterdir())
    assert len(folders) == 2
    assert all(name.startswith("learn-") for name in folders)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--profile", "--", "no-such-program"], 127, "the command 'no-such-program' was not"),
        (["--profile", "--", "./plain"], 126, "./plain cannot be run: it is no program"),
        (["--profile", "--", "./broken"], 126, "./broken cannot be run (Exec format error)"),
        (["--profile"], 2, "there is no command: write one behind --"),
        (["--profile", "--"], 2, "there is no command: write one behind --"),
        (["--", "true"], 2, "nothing says what to do beside the command"),
        (["--profile", "--interval-ms", "7", "--", "true"], 2, "argument --interval-ms"),
        (["--profile", "--output", "old", "--", "true"], 2, "old holds a profile already"),
        (["--profile", "--output", "plain/x", "--", "true"], 1, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path, arguments: Sequence[str], code: int, said: str
) -> None:
    (tmp_path / "plain").write_text("no program")
    (tmp_path / "broken").write_text("no program")
    (tmp_path / "broken").chmod(0o755)
    (tmp_path / "old" / "system").mkdir(parents=True)
    done = run(tmp_path, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("clary: ")
    assert list((tmp_path / "clary-profile").glob("*")) == []


def test_words_without_a_separator_are_a_command_too(tmp_path: Path) -> None:
    done = run(tmp_path, "--profile", "--output", "seen", "echo", "-n", "--", "a", "--profile")
    assert done.returncode == 0
    assert done.stdout == "-- a --profile"


ASKED = """
import signal, sys, time
asked = []
for name in ("SIGTERM", "SIGUSR1", "SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, name), lambda number, _: asked.append(number))
print("ready", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end and len(asked) < int(sys.argv[1]):
    time.sleep(0.02)
time.sleep(0.3)
print(sorted(asked), flush=True)
sys.exit(9)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(tmp_path: Path, sent: signal.Signals) -> None:
    process = subprocess.Popen(
        command("--profile", "--output", "seen", "--", PYTHON, "-c", ASKED, "1"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(sent)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert out == f"[{sent.value}]\n"
    assert process.returncode == 9


def test_ctrl_c_in_the_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    words = command("--profile", "--output", "seen", "--", PYTHON, "-c", ASKED, "1")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(words[0], words, environment())
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    try:
        while block := os.read(terminal, 4096):
            said += block
    except OSError:
        pass  # what a terminal says when nobody is left behind it
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert b"[2]" in said
    assert os.waitstatus_to_exitcode(status) == 9


def test_the_command_goes_on_when_its_watcher_is_killed(tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"
    script = f"touch {begun}; sleep 0.7; touch {done}"
    process = subprocess.Popen(
        command("--profile", "--output", "seen", "--", "sh", "-c", script),
        cwd=tmp_path,
        env=environment(),
    )
    until(begun.exists)
    process.kill()
    process.wait()
    until(done.exists)


def test_a_training_that_knows_nothing_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("STEPS = 12\n")
    (tmp_path / "train.py").write_text(
        "import torch\n"
        "from beside import STEPS\n"
        "model = torch.nn.Linear(8, 2)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "data = torch.utils.data.TensorDataset(torch.randn(4 * STEPS, 8))\n"
        "for (batch,) in torch.utils.data.DataLoader(data, batch_size=4):\n"
        "    loss = model(batch).sum()\n"
        "    optimizer.zero_grad()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
    )
    done = profiled(tmp_path, PYTHON, "train.py")
    assert done.returncode == 0, done.stderr

    from clary.formats.timeline import Mode
    from clary.profiler.profile import Profile

    profile = Profile.open([tmp_path / "seen"])
    assert int(profile.steps(Mode.TRAIN)["merged"].sum()) == 12
    assert profile.failures == ()
