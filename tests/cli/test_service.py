"""`clary start`, `stop`, `status`, `logs`, `env`, `exec` and `kernel`, as processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clary.formats.service_record import ServiceRecord, service_is_alive
from clary.settings import Settings
from tests.cli.conftest import Clary
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def clary_environment(clary_environment: Mapping[str, str]) -> Mapping[str, str]:
    """Without the process that keeps torch for trainings: there are none here."""
    return {**clary_environment, "CLARY_WARM": "0"}


def test_start_status_logs_stop(clary: Clary, home: Settings) -> None:
    assert clary("status").returncode == 3
    started = clary("start")
    assert (started.returncode, started.stderr) == (0, "")
    record = ServiceRecord.read(home)
    assert record is not None
    assert started.stdout.startswith(f"Started the Clary service on 127.0.0.1:{record.port}\n")
    assert "is running on" in clary("start").stdout
    refused = clary("start", "--port", str(record.port + 1))
    assert refused.returncode == 2
    assert "listens on port" in refused.stderr
    shown = clary("status")
    assert (shown.returncode, f"endpoint  {record.url}" in shown.stdout) == (0, True)
    assert f"listens on {record.url}" in clary("logs").stdout
    assert clary("logs", "-n", "1").stdout.count("\n") == 1
    assert clary("stop").stdout == f"Stopped the Clary service on 127.0.0.1:{record.port}\n"
    assert not service_is_alive(home)
    assert clary("stop").stdout == f"No Clary service runs on {home.home}\n"


def test_a_port_in_use_is_one_sentence(clary: Clary) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = clary("start", "--port", str(other.getsockname()[1]))
    assert ended.returncode == 1
    assert ended.stderr.startswith("clary: port ")
    assert ended.stderr.count("\n") == 1


def test_a_home_that_cannot_be_written_is_one_sentence(clary: Clary, home: Settings) -> None:
    home.home.write_text("a file where the home should be")
    ended = clary("start")
    assert ended.returncode == 1
    assert ended.stderr.startswith("clary: ")
    assert "cannot be written" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_commands_that_come_at_once_start_one_service(clary: Clary, home: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(lambda _: clary("data", "ls"), range(4)))
    assert [end.returncode for end in ended] == [0] * 4, ended
    assert ServiceRecord.read(home) is not None


def test_in_the_foreground_until_ctrl_c(
    clary_environment: Mapping[str, str], home: Settings
) -> None:
    command = [sys.executable, "-m", "clary", "start", "--foreground", "--port", "0"]
    with subprocess.Popen(
        command, env=clary_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        until(lambda: ServiceRecord.read(home) or process.poll() is not None)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode in {0, 130}
    assert not service_is_alive(home)


def test_a_shell_takes_aws_and_gives_it_back(
    clary: Clary, clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    program = f"{sys.executable} -m clary"
    script = f"""
        eval "$({program} env)" && {sys.executable} -c 'import boto3
print(boto3.client("sts").get_caller_identity()["Arn"])'
        eval "$({program} env --unset)" && env | grep -c -E '^(AWS|CLARY_E|SAGEMAKER)'
        echo $AWS_ACCESS_KEY_ID
    """
    environment = {**clary_environment, "AWS_ACCESS_KEY_ID": "mine", "AWS_SESSION_TOKEN": "mine"}
    ended = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == [
        "arn:aws:sts::000000000000:assumed-role/ClaryRole/clary",
        "2",
        "mine",
    ]


def test_exec_becomes_the_program(clary: Clary) -> None:
    show = "import os, sys; print(os.environ['AWS_ENDPOINT_URL'], sys.argv[1:]); sys.exit(7)"
    ended = clary("exec", "--", sys.executable, "-c", show, "--help", "-f")
    assert ended.returncode == 7
    assert ended.stdout.startswith("http://127.0.0.1:")
    assert ended.stdout.endswith("['--help', '-f']\n")
    missing = clary("exec", "no-such-program")
    assert (missing.returncode, missing.stdout) == (127, "")
    assert missing.stderr == "clary: there is no program no-such-program\n"
    assert clary("exec").returncode == 2


def test_a_kernel_is_started_through_exec(clary: Clary, home: Settings, tmp_path: Path) -> None:
    without = clary("kernel", "install", "--prefix", str(tmp_path))
    if without.returncode:  # Clary's own interpreter has no ipykernel
        assert "has no ipykernel" in without.stderr
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 6.30.0\n")
    python.chmod(0o755)
    words = ("--prefix", str(tmp_path), "--python", str(python), "--name", "local")
    installed = clary("kernel", "install", *words)
    assert (installed.returncode, installed.stderr) == (0, "")
    kernel = json.loads((tmp_path / "share/jupyter/kernels/local/kernel.json").read_text())
    assert kernel["argv"][1:5] == ["-m", "clary", "exec", "--"]
    assert kernel["argv"][5:] == [
        str(python),
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    ]
    assert kernel["env"] == {"CLARY_HOME": str(home.home)}
    assert clary("kernel", "install", "--name", "A b").returncode == 2


def test_data_is_put_linked_and_listed(clary: Clary, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "1.txt").write_text("cat")
    assert clary("data", "put", "photos").stdout == (
        "s3://sagemaker-us-east-1-000000000000/photos/  (1 file)\n"
    )
    assert clary("data", "link", "my-photos", "photos").stdout == "s3://my-photos/\n"
    assert clary("data", "link", "my-photos", "photos").returncode == 0
    (folder / "cats" / "22.txt").write_text("a second cat")
    assert clary("data", "ls", "s3://my-photos/cats/").stdout.split() == [
        *("3", "cats/1.txt"),
        *("12", "cats/22.txt"),
    ]
    written = clary("data", "put", "photos/cats/1.txt", "s3://my-photos/cats/2.txt")
    assert written.returncode == 1
    assert written.stderr.count("\n") == 1
    assert clary("data", "ls").stdout.split() == [
        "s3://my-photos/",
        "s3://sagemaker-us-east-1-000000000000/",
    ]
    assert clary("data", "unlink", "my-photos").returncode == 0
    assert sorted(path.name for path in (folder / "cats").iterdir()) == ["1.txt", "22.txt"]
    assert clary("data", "ls", "photos").stderr == (
        "clary: photos is no S3 URI: give one such as s3://my-bucket/photos/\n"
    )
    assert clary("data", "put", "nothing").returncode == 1


def test_the_service_keeps_no_folder_busy(clary: Clary, home: Settings) -> None:
    clary("start")
    record = ServiceRecord.read(home)
    assert record is not None
    assert Path(f"/proc/{record.pid}/cwd").readlink() == home.home
