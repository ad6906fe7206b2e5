"""Where the workers of a replica find their server."""

from __future__ import annotations

import socket
import stat
import tempfile
from pathlib import Path

import pytest

from clary.jobs.serve.listeners import open_listeners
from tests.endpoint.served import replica_settings

SCRIPT = replica_settings(kind="script")


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as worker:
        worker.connect(path)
    return True


def test_workers_come_in_by_the_folder_of_the_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    # What one that was killed has left.
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / ".workers"))
    with open_listeners(SCRIPT, tmp_path) as listeners:
        path = Path(listeners.workers_path)
        assert path.parent == tmp_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert connects(listeners.workers_path)
    assert not path.exists()


def test_a_path_that_is_too_long_for_a_socket_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary := tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (folder := tmp_path / ("long" * 25)).mkdir()
    with open_listeners(SCRIPT, folder) as listeners:
        assert Path(listeners.workers_path).is_relative_to(temporary)
        assert connects(listeners.workers_path)
    assert list(temporary.iterdir()) == list(folder.iterdir()) == []
