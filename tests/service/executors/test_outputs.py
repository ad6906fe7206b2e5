"""Archives and trees that jobs leave behind."""

from __future__ import annotations

import tarfile

from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench


def keys(bench: Bench, prefix: str) -> list[str]:
    return [info.key for info in bench.store.iterate("bench", prefix)]


def test_model_and_output_are_packed(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.job("packs")
    job.directory.create()
    (job.directory.model / "code").mkdir()
    (job.directory.model / "model.pth").write_text("weights")
    (job.directory.model / "latest").symlink_to("model.pth")
    script = job.directory.model / "code" / "run.sh"
    script.write_text("#!/bin/sh")
    script.chmod(0o700)
    (job.directory.output_data / "plot.png").write_text("png")
    artifacts = executor.collect(job)
    assert artifacts.model == "s3://bench/out/packs/output/model.tar.gz"
    assert artifacts.output == "s3://bench/out/packs/output/output.tar.gz"
    with tarfile.open(bench.store.info("bench", "out/packs/output/model.tar.gz").path) as tar:
        assert tar.getnames() == ["code/run.sh", "latest", "model.pth"]
        assert tar.getmember("code/run.sh").mode == 0o755
        assert tar.getmember("latest").linkname == "model.pth"


def test_collecting_again_changes_nothing(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.job("twice")
    job.directory.create()
    (job.directory.model / "m").write_text("x")
    first = executor.collect(job)
    before = bench.store.info("bench", "out/twice/output/model.tar.gz").path.read_bytes()
    assert executor.collect(job) == first
    assert bench.store.info("bench", "out/twice/output/model.tar.gz").path.read_bytes() == before


def test_nothing_to_upload_is_said(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.job("empty")
    job.directory.create()
    assert executor.collect(job).model is None
    assert keys(bench, "out/") == []


def test_without_compression_the_trees_are_uploaded(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.job(
        "plain",
        OutputDataConfig={"S3OutputPath": "s3://bench/out", "CompressionType": "NONE"},
    )
    job.directory.create()
    (job.directory.model / "a").mkdir()
    (job.directory.model / "a" / "m.bin").write_text("x")
    assert executor.collect(job).model == "s3://bench/out/plain/output/model/"
    assert keys(bench, "out/") == ["out/plain/output/model/a/m.bin"]
