"""Logs on S3, through a real boto3 client and a real service."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clary.errors import FormatError, StorageError, UsageError
from clary.formats.tensor_log import Mirror, TensorLog, TensorLogWriter
from tests.formats.tensor_log.conftest import MakeCapture
from tests.service.conftest import RunningService


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    running.start()
    try:
        client = running.client("s3")
        client.create_bucket(Bucket="logs")
        yield client
    finally:
        running.stop()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_mirror_brings_what_is_new_and_nothing_else(
    s3: Any, tmp_path: Path, capture: MakeCapture
) -> None:
    log, copy = tmp_path / "log", tmp_path / "copy"
    writer = TensorLogWriter(log)
    mirror = Mirror(s3, "s3://logs/job/debug-output", copy)
    assert not mirror.update()

    def upload() -> None:
        for path in files(log):
            s3.upload_file(str(log / path), "logs", f"job/debug-output/{path}")

    writer.write(capture(0, size=5000))
    writer.flush()
    writer.write(capture(1, size=5000))
    upload()
    s3.put_object(Bucket="logs", Key="job/debug-output/notes/read.me", Body=b"")
    s3.put_object(Bucket="logs", Key="job/debug-output-of-another/training_job_end.ts", Body=b"")
    assert mirror.update()
    assert files(copy) == {"statistics/00000001-worker_0.sqlite"}
    assert not mirror.update()
    writer.record_failure("one")
    upload()
    assert mirror.update()
    writer.record_failure("another")
    writer.close()
    upload()
    # One that begins anew in the same folder has what is final already.
    mirror = Mirror(s3, "s3://logs/job/debug-output/", copy)
    first = (copy / "statistics" / "00000001-worker_0.sqlite").stat().st_mtime_ns
    assert mirror.update()
    assert (copy / "statistics" / "00000001-worker_0.sqlite").stat().st_mtime_ns == first
    read = TensorLog(copy, fetch=mirror.fetch)
    assert read.ended
    assert read.failures == ("one", "another")
    assert [step.number for step in read.steps()] == [0, 1]
    assert read.raw("big", 1).tolist() == [1.0] * 5000
    assert "tensors/000000000001/worker_0.safetensors" in files(copy)


def test_no_key_leads_out_of_the_folder(s3: Any, tmp_path: Path) -> None:
    for key in ("../outside", "statistics/../../outside", "/outside", "/statistics/outside"):
        s3.put_object(Bucket="logs", Key=f"evil/{key}", Body=b"")
    Mirror(s3, "s3://logs/evil", tmp_path / "copy").update()
    assert files(tmp_path) == set()


def test_what_cannot_be_mirrored_is_told(s3: Any, tmp_path: Path) -> None:
    for uri in ("s3://", "http://logs/job", "logs/job"):
        with pytest.raises(UsageError, match="s3://BUCKET/PREFIX"):
            Mirror(s3, uri, tmp_path)
    with pytest.raises(StorageError, match="NoSuchBucket"):
        Mirror(s3, "s3://no-such-bucket/job", tmp_path).update()
    assert files(tmp_path) == set()


def test_a_raw_tensor_that_s3_has_no_more_is_told(
    s3: Any, tmp_path: Path, capture: MakeCapture
) -> None:
    writer = TensorLogWriter(tmp_path / "log")
    writer.write(capture(0, size=5000))
    writer.close()
    (segment,) = (tmp_path / "log" / "statistics").glob("*.sqlite")
    s3.upload_file(str(segment), "logs", f"poor/statistics/{segment.name}")
    mirror = Mirror(s3, "s3://logs/poor", tmp_path / "copy")
    mirror.update()
    log = TensorLog(tmp_path / "copy", fetch=mirror.fetch)
    with pytest.raises(FormatError, match="its statistics are still there"):
        log.raw("big", 0)
    assert log.statistics("Net_fc.weight")[0].size == 4


def test_tensors_that_nobody_asked_for_are_not_listed(s3: Any, tmp_path: Path) -> None:
    keys = [f"tensors/{number:012}/worker_0.safetensors" for number in range(1500)]
    keys += ["collections/worker_0.json", "statistics/00000001-worker_0.sqlite"]
    keys += ["training_job_end.ts"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket="logs", Key=f"many/{key}"), keys))
    requests: list[str] = []
    s3.meta.events.register("before-call.s3.*", lambda model, **_: requests.append(model.name))
    mirror = Mirror(s3, "s3://logs/many", tmp_path)
    assert mirror.update()
    assert files(tmp_path) == set(keys[1500:])
    assert requests.count("ListObjectsV2") == 2
    assert not mirror.update()
    assert requests.count("ListObjectsV2") == 4
