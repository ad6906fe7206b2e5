"""The files through which a service and its hosts meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.errors import FormatError, StorageError
from clary.formats.launch import (
    HostEnded,
    HostFiles,
    HostStarted,
    InProcess,
    Launch,
    Mount,
    PipeChannel,
)

TEXT = st.text(max_size=12)
WORDS = st.lists(TEXT, max_size=3).map(tuple)
LAUNCHES = st.builds(
    Launch,
    command=WORDS,
    hosts=WORDS,
    notes=WORDS,
    isolation=st.sampled_from(["namespace", "bubblewrap", "none"]),
    environment=st.dictionaries(TEXT, TEXT, max_size=3),
    mounts=st.lists(st.builds(Mount), max_size=2).map(tuple),
    pipes=st.lists(st.builds(PipeChannel), max_size=2).map(tuple),
    in_process=st.none() | st.builds(InProcess, arguments=WORDS, search_path=WORDS),
    version=st.just(1),
)


@pytest.fixture
def files(tmp_path: Path) -> HostFiles:
    return HostFiles(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(launch=LAUNCHES)
def test_any_launch_is_read_as_it_was_written(files: HostFiles, launch: Launch) -> None:
    launch.write(files)
    assert Launch.read(files.launch) == launch


def test_the_launch_holds_keys_and_is_for_its_owner_only(files: HostFiles) -> None:
    Launch(
        job="j",
        host="algo-1",
        root="/r",
        base="/opt/ml",
        log="/l",
        isolation="none",
        command=("true",),
        working_directory="/",
        environment={"AWS_SECRET_ACCESS_KEY": "x"},
        token="t",
    ).write(files)
    assert files.launch.stat().st_mode & 0o077 == 0


def test_started_and_ended_are_none_before_they_are_written(files: HostFiles) -> None:
    assert HostStarted.read(files) is None
    assert HostEnded.read(files) is None
    HostStarted(1, 2, 3).write(files)
    HostEnded(137, "killed", 4).write(files)
    assert HostStarted.read(files) == HostStarted(1, 2, 3)
    assert HostEnded.read(files) == HostEnded(137, "killed", 4)


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2}', '{"version": 1}'])
def test_a_damaged_launch_is_said(files: HostFiles, content: str) -> None:
    files.launch.write_text(content)
    with pytest.raises(FormatError):
        Launch.read(files.launch)


def test_a_lock_is_held_as_long_as_any_process_has_it(files: HostFiles) -> None:
    assert not files.is_held() and files.holder() is None
    lock = files.hold()
    with pytest.raises(StorageError):
        files.hold()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(lock)
    assert files.is_held()
    assert files.holder() is None
    files.lock.write_text(str(pid))
    assert files.holder() == pid
    os.close(writing)
    os.waitpid(pid, 0)
    assert not files.is_held()


def test_of_two_processes_one_is_the_host(files: HostFiles) -> None:
    assert [files.claim(), files.claim()] == [True, False]
