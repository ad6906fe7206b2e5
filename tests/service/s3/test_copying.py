"""Copies, tags, presigned addresses."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from botocore.config import Config

from tests.service.conftest import RunningService
from tests.service.s3.faults import refused

ODD = "a b/ü+%41?.txt"


def test_a_copy_takes_everything_along(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key=ODD,
        Body=b"body",
        ContentType="text/plain",
        Metadata={"a": "b"},
        CacheControl="no-store",
        Tagging="t=1",
        StorageClass="STANDARD_IA",
    )
    answer = s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": ODD})
    copy = s3.get_object(Bucket=bucket, Key="to")
    assert copy["Body"].read() == b"body"
    assert copy["ETag"] == answer["CopyObjectResult"]["ETag"]
    assert (copy["ContentType"], copy["Metadata"]) == ("text/plain", {"a": "b"})
    assert (copy["CacheControl"], copy["TagCount"]) == ("no-store", 1)
    assert "StorageClass" not in copy


def test_a_copy_onto_itself_must_change_something(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", Metadata={"old": "1"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "k"}
    error = refused(lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource=source))
    assert error.code == "InvalidRequest"
    s3.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"new": "2"},
        TaggingDirective="REPLACE",
        Tagging="x=y",
    )
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"body", {"new": "2"})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "x", "Value": "y"}]


def test_a_copy_onto_itself_may_name_any_storage_class(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", StorageClass="STANDARD_IA")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="STANDARD")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="STANDARD")


def test_copies_under_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"body")["ETag"]
    source = {"Bucket": bucket, "Key": "k"}

    def copy(**condition: Any) -> Any:
        return s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **condition)

    assert refused(lambda: copy(CopySourceIfMatch='"other"')).code == "PreconditionFailed"
    assert refused(lambda: copy(CopySourceIfNoneMatch=etag)).code == "PreconditionFailed"
    at = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    for name, time in (
        ("CopySourceIfModifiedSince", at),
        ("CopySourceIfUnmodifiedSince", at - timedelta(seconds=1)),
    ):
        error = refused(lambda said={name: time}: copy(**said))
        assert (error.code, error.status) == ("PreconditionFailed", 412)
        assert error.body["Condition"].startswith("x-amz-copy-source-If-")
    # A time to come is no condition, and a condition on the ETag counts for more than a time.
    copy(CopySourceIfModifiedSince=at + timedelta(days=1))
    copy(CopySourceIfNoneMatch='"other"', CopySourceIfModifiedSince=at)
    s3.delete_object(Bucket=bucket, Key="to")
    copy(CopySourceIfMatch=etag, IfNoneMatch="*")
    assert refused(lambda: copy(IfNoneMatch="*")).code == "PreconditionFailed"


@pytest.mark.parametrize("source", ["only-a-bucket", "/", "b/k?versionId=7"])
def test_sources_that_name_nothing(s3: Any, bucket: str, source: str) -> None:
    error = refused(lambda: s3.copy_object(Bucket=bucket, Key="to", CopySource=source))
    assert error.code == "InvalidArgument"


def test_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentType="text/plain")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    tags = [{"Key": "a b", "Value": "ü&="}, {"Key": "empty", "Value": ""}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    answer = s3.head_object(Bucket=bucket, Key="k")
    assert answer["ContentType"] == "text/plain"
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    error = refused(lambda: s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=twice))
    assert error.code == "InvalidTag"
    error = refused(lambda: s3.get_object_tagging(Bucket=bucket, Key="gone"))
    assert error.code == "NoSuchKey"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_addresses(service: RunningService, bucket: str, version: str) -> None:
    s3 = service.client("s3", config=Config(signature_version=version))
    named = {"Bucket": bucket, "Key": ODD}
    url = s3.generate_presigned_url("put_object", Params=named, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"by address", method="PUT")
    request.add_header("Content-Type", "")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    url = s3.generate_presigned_url("get_object", Params=named, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"by address"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url + "0")
    assert caught.value.code == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in caught.value.read()
