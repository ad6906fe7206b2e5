"""Folders of jobs go to S3, each for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.errors import StorageError
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.mirrors import Mirrored, Mirrors
from tests.service.executors.conftest import Bench


class Vanishing(Mirrored):
    """A folder whose files are gone when they have been listed."""

    def files(self) -> Iterator[tuple[str, Path, list[int]]]:
        listed = list(super().files())
        for _, path, *_ in listed:
            path.unlink()
        yield from listed


def folder(bench: Bench, name: str, kind: type[Mirrored] = Mirrored) -> Mirrored:
    path = bench.settings.home / name
    path.mkdir(parents=True)
    (path / "file").write_text(name)
    return kind(path, f"s3://bench/{name}/", bench.settings.home / f".{name}.json")


def test_a_file_that_vanishes_keeps_no_other_folder_back(bench: Bench) -> None:
    folders = (folder(bench, "gone", Vanishing), folder(bench, "kept"))
    mirrors = Mirrors(bench.store, lambda _: folders, period_s=60, name="test")
    with pytest.raises(StorageError, match="gone"):
        mirrors.finish(bench.job("job"))
    assert bench.store.info("bench", "kept/file").path.read_text() == "kept"


def test_a_job_with_nothing_to_mirror_is_asked_once(bench: Bench) -> None:
    asked: list[TrainingJobSpec] = []

    def folders(job: TrainingJobSpec) -> tuple[Mirrored, ...]:
        asked.append(job)
        return ()

    mirrors = Mirrors(bench.store, folders, period_s=60, name="test")
    first, second = bench.job("job"), bench.job("job")
    for job in (first, first, second, second, second):
        mirrors.follow(job)
    assert len(asked) == 2
    mirrors.close()
