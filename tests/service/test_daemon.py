"""The process itself: how it starts, refuses to start, and ends."""

from __future__ import annotations

import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from clary.formats.service_record import ServiceRecord, service_is_alive
from clary.settings import Settings
from tests.service.conftest import RunningService, clean_environment


def refused(home: Path, *arguments: str) -> str:
    """What a service says that does not start; it is one sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "clary.service", "--port", "0", *arguments],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {1, 2}, done.stderr
    assert done.stderr.startswith("clary: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_sigterm_ends_it_in_peace(own_service: RunningService) -> None:
    assert own_service.stop() == 0
    assert not own_service.settings.service_file.exists()
    assert not service_is_alive(own_service.settings)
    assert (own_service.home / "output.txt").read_text() == ""


def test_it_may_open_more_files_than_a_shell(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    service = RunningService(tmp_path / "home")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        service.start()
        allowed, _ = psutil.Process(service.pid).rlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        service.stop()
    assert allowed == min(hard, 16_384)


def test_an_upload_under_way_does_not_keep_it_up(own_service: RunningService) -> None:
    client = own_service.client("s3")
    client.create_bucket(Bucket="bucket")
    url = client.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "half"})
    target = url.removeprefix(own_service.url)
    with socket.create_connection(("127.0.0.1", own_service.port)) as upload:
        head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
        upload.sendall(head.encode() + bytes(2 << 20))
        time.sleep(0.3)
        begun = time.monotonic()
        assert own_service.stop() == 0
        assert time.monotonic() - begun < 15


def test_ctrl_c_ends_it_in_peace(own_service: RunningService) -> None:
    assert own_service.process is not None
    own_service.process.send_signal(signal.SIGINT)
    assert own_service.process.wait(timeout=30) == 0


def test_a_killed_one_is_known_to_be_gone_and_followed(own_service: RunningService) -> None:
    own_service.kill()
    assert own_service.settings.service_file.exists()
    assert ServiceRecord.read(own_service.settings) is None
    key = own_service.credentials.access_key
    own_service.restart()
    assert own_service.credentials.access_key == key
    assert own_service.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_it_loads_no_torch_and_stays_small(own_service: RunningService) -> None:
    own_service.client("sts").get_caller_identity()
    own_service.client("s3").list_buckets()
    own_service.client("sagemaker").list_training_jobs()
    process = psutil.Process(own_service.pid)
    assert not [each.path for each in process.memory_maps() if "/torch/" in each.path]
    assert process.memory_info().rss < 120e6


def test_a_second_one_on_the_same_home_says_where_the_first_is(service: RunningService) -> None:
    said = refused(service.home)
    assert f"runs on {service.home} already (process {service.pid}, {service.url})" in said
    assert service.client("sts").get_caller_identity()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refused(tmp_path, "--port", port)
    assert f"port {port} of 127.0.0.1 cannot be listened on (Address already in use)" in said


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "--port is 70000: it must be from 0 to 65535" in refused(tmp_path, "--port", "70000")


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refused(tmp_path / "file" / "home")
    assert str(tmp_path / "file") in said
    assert "cannot be written" in said


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")
def test_a_read_only_home_is_named() -> None:
    assert "cannot be written" in refused(Path("/proc/clary"))


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_database_is_said_and_left_alone(tmp_path: Path, content: bytes) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database = Settings(home=home).state_file
    database.write_bytes(content)
    assert str(database) in refused(home)
    assert database.read_bytes() == content


def test_a_database_of_a_later_version_is_said_and_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database = Settings(home=home).state_file
    connection = sqlite3.connect(database)
    connection.execute("pragma user_version = 9999")
    connection.execute("create table mine (a)")
    connection.commit()
    connection.close()
    assert str(database) in refused(home)


def test_another_host_than_loopback_is_warned_of(tmp_path: Path) -> None:
    running = RunningService(tmp_path / "home")
    running.home.mkdir()
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "clary.service", "--port", "0", "--host", "0.0.0.0"],
            env=running.environment,
            stderr=said,
        )
        while ServiceRecord.read(running.settings) is None:
            assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 0
    assert "can be reached from other machines on 0.0.0.0" in (tmp_path / "said").read_text()


def test_only_loopback_is_listened_on(service: RunningService) -> None:
    found = [
        connection.laddr.ip
        for connection in psutil.Process(service.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert found == ["127.0.0.1"]


def test_requests_are_logged_without_secrets(own_service: RunningService) -> None:
    client = own_service.client("s3")
    url = client.generate_presigned_url("get_object", {"Bucket": "nobody", "Key": "k"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)
    own_service.stop()
    log = own_service.settings.service_log.read_text()
    assert "404 GET s3 GetObject /nobody/k" in log
    assert own_service.credentials.secret_key not in log
    assert "Signature" not in log
