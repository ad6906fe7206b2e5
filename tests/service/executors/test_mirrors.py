"""Folders of jobs go to S3, each for itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.errors import ClaryError, StorageError
from clary.formats.launch import FIRST_HOST, host_log
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.mirrors import Mirrored, Mirrors
from clary.service.executors.storing import store_at_end
from tests.service.executors.conftest import Bench
from tests.waiting import until


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


@pytest.mark.parametrize("memory", ["[1]", "{", '{"file": 3}', '{"file": ["a", "b"]}'])
def test_a_damaged_memory_costs_another_upload(bench: Bench, memory: str) -> None:
    mirrored = folder(bench, "kept")
    mirrored.memory.write_text(memory)
    mirrors = Mirrors(bench.store, lambda _: (mirrored,), period_s=60, name="test")
    mirrors.finish(bench.job("job"))
    assert bench.store.info("bench", "kept/file").path.read_text() == "kept"
    assert mirrored.remembered().keys() == {"file"}


def wait_for_keys(bench: Bench, keys: set[str]) -> None:
    until(lambda: keys <= {info.key for info in bench.store.iterate("bench")})


class Failing(Mirrored):
    """A folder whose listing has a fault that nobody has thought of."""

    def files(self) -> Iterator[tuple[str, Path, list[int]]]:
        raise TypeError("unthought-of")


def test_a_job_that_fails_ends_the_mirroring_of_no_other(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ill, well = bench.job("ill"), bench.job("well")
    folders = {
        "ill": (folder(bench, "broken", Failing), folder(bench, "beside")),
        "well": (folder(bench, "kept"),),
    }
    mirrors = Mirrors(bench.store, lambda job: folders[job.name], period_s=0.05, name="test")
    mirrors.follow(ill)
    time.sleep(0.5)
    mirrors.follow(well)
    wait_for_keys(bench, {"beside/file", "kept/file"})
    (told,) = [one for one in caplog.records if "not all is stored" in one.message]
    assert "ill" in told.message
    # The end of the job is told in its log, and raises nothing.
    log = host_log(ill.directory.root, FIRST_HOST)
    log.parent.mkdir(parents=True)
    store_at_end(ill, mirrors.finish, "what was seen")
    assert b"what was seen is not all in S3: TypeError: unthought-of" in log.read_bytes()
    mirrors.close()


def test_a_file_that_cannot_be_stored_keeps_no_later_one_back(bench: Bench) -> None:
    mirrored = folder(bench, "kept")
    bad = mirrored.folder / "bad-\udcff.json"
    bad.write_text("early")
    later = mirrored.folder / "later"
    later.write_text("later")
    mirrors = Mirrors(bench.store, lambda _: (mirrored,), period_s=60, name="test")
    with pytest.raises(ClaryError, match="Unicode"):
        mirrors.finish(bench.job("job"))
    assert bench.store.info("bench", "kept/later").path.read_text() == "later"
    assert mirrored.remembered().keys() == {"file", "later"}
