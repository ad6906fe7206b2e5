"""The AWS CLI, as notebooks call it from their cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.clients.conftest import execute
from tests.clients.environments import ClientEnvironment


def test_what_notebooks_call(
    awscli: ClientEnvironment, clary_environment: Mapping[str, str], tmp_path: Path
) -> None:
    def aws(*words: str) -> str:
        return execute(dict(clary_environment), tmp_path, str(awscli.command("aws")), *words)

    folder = tmp_path / "dogImages"
    for name in ("train/a/1.jpg", "train/b/2.jpg", "test/a/3 ü.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == "000000000000"
    assert "make_bucket" in aws("s3", "mb", "s3://my-bucket")
    aws("s3api", "create-bucket", "--bucket", "other-bucket")
    assert aws("s3", "cp", "dogImages", "s3://my-bucket/dogs", "--recursive").count("upload:") == 3
    assert aws("s3", "sync", "dogImages", "s3://my-bucket/dogs") == ""
    listed = aws("s3", "ls", "s3://my-bucket/dogs/", "--recursive")
    assert [line.split(maxsplit=3)[3] for line in listed.splitlines()] == [
        "dogs/test/a/3 ü.jpg",
        "dogs/train/a/1.jpg",
        "dogs/train/b/2.jpg",
    ]
    aws("s3", "sync", "s3://my-bucket/dogs", "again")
    for file in folder.rglob("*.jpg"):
        copy = tmp_path / "again" / file.relative_to(folder)
        assert copy.read_bytes() == file.read_bytes()
    aws("s3", "rm", "s3://my-bucket/dogs", "--recursive")
    assert aws("s3", "ls", "s3://my-bucket") == ""
    aws("s3", "rb", "s3://my-bucket")
    jobs = json.loads(aws("sagemaker", "list-training-jobs"))
    assert jobs["TrainingJobSummaries"] == []
    assert json.loads(aws("logs", "describe-log-groups"))["logGroups"] is not None
    assert json.loads(aws("sagemaker", "list-endpoints"))["Endpoints"] == []
    assert json.loads(aws("cloudwatch", "list-metrics"))["Metrics"] == []
