"""The variables that make this machine a process's AWS."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.formats.client_environment import client_environment
from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.settings import Settings


@pytest.mark.parametrize(
    ("host", "excepted"),
    [
        ("127.0.0.1", "127.0.0.1,localhost,intern"),
        ("0.0.0.0", "127.0.0.1,localhost,intern"),
        ("192.168.1.7", "127.0.0.1,localhost,192.168.1.7,intern"),
        ("::1", "127.0.0.1,localhost,::1,intern"),
    ],
)
def test_no_proxy_leads_to_the_service(tmp_path: Path, host: str, excepted: str) -> None:
    record = ServiceRecord(version="1", pid=1, host=host, port=7788, started="")
    before = {"HTTP_PROXY": "http://proxy", "NO_PROXY": "intern"}
    keys = Credentials.generate("us-east-1")
    after = client_environment(Settings(home=tmp_path), record, keys, before)
    assert after["NO_PROXY"] == after["no_proxy"] == excepted
