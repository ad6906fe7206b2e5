"""What a process is called beside the others that train."""

from __future__ import annotations

import json

import pytest

from clary.debugger.workers import captures, worker_name

HOSTS = {"SM_HOSTS": json.dumps(["algo-1", "algo-2"])}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "worker_0"),
        ({"RANK": "3"}, "worker_3"),
        ({**HOSTS, "SM_CURRENT_HOST": "algo-1"}, "worker_0"),
        ({**HOSTS, "SM_CURRENT_HOST": "algo-2"}, "worker_1"),
        ({**HOSTS, "SM_CURRENT_HOST": "algo-2", "RANK": "0"}, "worker_0"),
        ({**HOSTS, "SM_CURRENT_HOST": "elsewhere"}, "worker_0"),
        ({"SM_HOSTS": "no json", "SM_CURRENT_HOST": "algo-2"}, "worker_0"),
        ({"SM_HOSTS": "3", "SM_CURRENT_HOST": "algo-2"}, "worker_0"),
    ],
)
def test_a_process_is_called_by_its_rank_or_its_host(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
) -> None:
    for variable in ("RANK", "SM_HOSTS", "SM_CURRENT_HOST"):
        monkeypatch.delenv(variable, raising=False)
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    assert worker_name() == name


def test_each_host_that_trains_for_itself_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("SM_HOSTS", HOSTS["SM_HOSTS"])
    monkeypatch.setenv("SM_CURRENT_HOST", "algo-2")
    assert captures("one")
