"""Libraries that read and write S3 as if it were files."""

from __future__ import annotations

from tests.clients.conftest import RunScript
from tests.clients.environments import ClientEnvironment


def test_s3fs(s3fs: ClientEnvironment, run_script: RunScript) -> None:
    assert run_script(s3fs, "s3fs_trip.py") == "done\n"


def test_smart_open(smart_open: ClientEnvironment, run_script: RunScript) -> None:
    assert run_script(smart_open, "smart_open_trip.py") == "done\n"
