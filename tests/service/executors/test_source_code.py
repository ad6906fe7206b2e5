"""The user's scripts, from wherever they are."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from clary.errors import ClaryError
from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench


def submit(bench: Bench, executor: LocalProcesses, uri: str, program: str = "train.py") -> str:
    told = {"sagemaker_program": program, "sagemaker_submit_directory": json.dumps(uri)}
    job = bench.job("submits", HyperParameters=told)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    return bench.lines(executor, job)[-1]


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_a_folder_of_this_machine(
    bench: Bench, executor: LocalProcesses, tmp_path: Path, scheme: str
) -> None:
    folder = tmp_path / "my code"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "train.py").write_text("import sys\nprint(sys.argv[0], sys.path[0])\n")
    said = submit(bench, executor, f"{scheme}{folder}", "inner/train.py")
    assert said == "inner/train.py /opt/ml/code/inner"


def archive_with(member: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member.size = len(content) if member.isreg() else 0
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_that_leaves_its_folder_is_refused(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    uri = bench.put("evil.tar.gz", archive_with(tarfile.TarInfo("../../../escaped")))
    with pytest.raises(ClaryError, match=r"the source code .*evil\.tar\.gz cannot be unpacked"):
        submit(bench, executor, uri)
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "cannot be unpacked"),
        (archive_with(tarfile.TarInfo("other.py")), "which holds other.py"),
    ],
)
def test_code_that_cannot_run_is_said(
    bench: Bench, executor: LocalProcesses, content: bytes, message: str
) -> None:
    with pytest.raises(ClaryError, match=message):
        submit(bench, executor, bench.put("code.tar.gz", content))


def test_code_that_is_not_there_is_said(bench: Bench, executor: LocalProcesses) -> None:
    with pytest.raises(ClaryError, match="nowhere"):
        submit(bench, executor, "s3://bench/nowhere/sourcedir.tar.gz")
