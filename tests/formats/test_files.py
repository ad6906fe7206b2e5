"""Atomic files: a reader sees the old content or the new, and every failure is one sentence."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError, StorageError
from clary.formats.files import read_json, replacing, storage_errors, write_json, write_text

TEXTS = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(value=JSON)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("files") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_an_error_inside_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


WRITES = """
import os, sys
from pathlib import Path
from clary.formats.files import write_text
os.umask(0o027)
# Whoever asks for it changes it for a moment, for every thread of somebody's training.
os.umask = None
write_text(Path(sys.argv[1]), "text")
"""


def test_the_umask_of_the_process_is_kept_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", WRITES, str(path)], check=True)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full while writing"),
        (errno.EACCES, "choose another folder"),
        (errno.EROFS, "choose another folder"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_what_the_system_says_becomes_a_sentence(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(StorageError, match=words), storage_errors(tmp_path):
        raise OSError(number, "what the system says")


def test_a_missing_file_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is missing"):
        read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_bytes(b"\xff{")
    with pytest.raises(FormatError, match="is not readable as JSON"):
        read_json(tmp_path / "bad.json")
