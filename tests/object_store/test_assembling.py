"""Ranges are copied by the kernel where it can, and otherwise all the same."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from clary.errors import StorageError
from clary.object_store.assembling import copy_range


def copied(tmp_path: Path, offset: int, size: int) -> bytes:
    """Twice into one file, one behind the other."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 10_000)
    with source.open("rb") as read, target.open("wb") as written:
        for _ in range(2):
            copy_range(read.fileno(), offset, size, written.fileno(), target)
    return target.read_bytes()


@pytest.mark.parametrize("code", ["ENOSYS", "EOPNOTSUPP", "EXDEV", "EINVAL"])
def test_where_the_kernel_cannot_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(getattr(errno, code), code)

    expected = copied(tmp_path, 5, 2_000_000)
    assert expected == (bytes(range(256)) * 10_000)[5:2_000_005] * 2
    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    assert copied(tmp_path, 5, 2_000_000) == expected


def test_another_refusal_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    with pytest.raises(StorageError, match="the disk is full"):
        copied(tmp_path, 0, 10)


def test_a_source_that_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(EOFError, match="5 bytes are missing"):
        copied(tmp_path, 2_559_995, 10)
