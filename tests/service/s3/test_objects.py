"""Put, get, head, delete: headers, ranges, conditions, odd keys."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.object_store.names import key_bytes
from clary.service.faults import Fault
from clary.service.operations.s3.faults import s3_faults
from tests.service.conftest import RunningService
from tests.service.s3.faults import refused


def test_an_object_comes_back_with_everything_that_was_said_of_it(s3: Any, bucket: str) -> None:
    said = {
        "ContentType": "image/jpeg",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="cat.jpg"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Metadata": {"camera": "x100", "owner": "me"},
        "StorageClass": "STANDARD_IA",
        "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    }
    put = s3.put_object(Bucket=bucket, Key="a/cat.jpg", Body=b"bytes", Tagging="a=1&b=2", **said)
    assert put["ETag"] == f'"{hashlib.md5(b"bytes").hexdigest()}"'
    for answer in (
        s3.get_object(Bucket=bucket, Key="a/cat.jpg"),
        s3.head_object(Bucket=bucket, Key="a/cat.jpg"),
    ):
        assert {name: answer[name] for name in said} == said
        assert answer["ETag"] == put["ETag"]
        assert answer["ContentLength"] == 5
        assert answer["AcceptRanges"] == "bytes"
        assert abs(answer["LastModified"] - datetime.now(timezone.utc)) < timedelta(seconds=60)
    assert s3.get_object(Bucket=bucket, Key="a/cat.jpg")["TagCount"] == 2


def test_what_is_not_said_is_aws_default(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="plain")
    answer = s3.get_object(Bucket=bucket, Key="plain")
    assert answer["Body"].read() == b""
    assert answer["ContentType"] == "binary/octet-stream"
    assert answer["Metadata"] == {}
    assert "ContentEncoding" not in answer


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-5", b"2345", "bytes 2-5/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=0-", b"0123456789", "bytes 0-9/10"),
        ("bytes=0-1,4-5", b"0123456789", None),
        ("bytes=5-2", b"0123456789", None),
        ("lines=1-2", b"0123456789", None),
    ],
)
def test_ranges(
    s3: Any, bucket: str, asked: str, expected: bytes, content_range: str | None
) -> None:
    s3.put_object(Bucket=bucket, Key="digits", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="digits", Range=asked)
    assert answer["Body"].read() == expected
    assert answer.get("ContentRange") == content_range
    assert answer["ContentLength"] == len(expected)
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    assert status == (200 if content_range is None else 206)


@pytest.mark.parametrize(("size", "asked"), [(10, "bytes=10-"), (10, "bytes=-0"), (0, "bytes=0-")])
def test_a_range_behind_the_end(s3: Any, bucket: str, size: int, asked: str) -> None:
    s3.put_object(Bucket=bucket, Key="digits", Body=b"x" * size)
    error = refused(lambda: s3.get_object(Bucket=bucket, Key="digits", Range=asked))
    assert (error.code, error.status) == ("InvalidRange", 416)
    assert error.body["ActualObjectSize"] == str(size)


def test_reads_under_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    earlier, later = modified - timedelta(seconds=5), modified + timedelta(seconds=1)
    good = [
        {"IfMatch": etag},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": earlier},
        {"IfUnmodifiedSince": modified},
        {"IfMatch": etag, "IfUnmodifiedSince": earlier},
        {"IfNoneMatch": '"other"', "IfModifiedSince": later},
    ]
    for condition in good:
        assert s3.get_object(Bucket=bucket, Key="k", **condition)["Body"].read() == b"1"
    for condition in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": earlier}):
        error = refused(lambda c=condition: s3.get_object(Bucket=bucket, Key="k", **c))
        assert (error.code, error.status) == ("PreconditionFailed", 412)
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": modified}):
        error = refused(lambda c=condition: s3.head_object(Bucket=bucket, Key="k", **c))
        assert (error.code, error.status) == ("304", 304)
        assert error.headers["etag"] == etag


def test_writes_under_conditions(s3: Any, bucket: str) -> None:
    def put(body: bytes, **condition: str) -> str:
        return str(s3.put_object(Bucket=bucket, Key="k", Body=body, **condition)["ETag"])

    first = put(b"1", IfNoneMatch="*")
    assert refused(lambda: put(b"2", IfNoneMatch="*")).code == "PreconditionFailed"
    assert refused(lambda: put(b"2", IfMatch='"other"')).code == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    second = put(b"2", IfMatch=first)
    error = refused(lambda: s3.delete_object(Bucket=bucket, Key="k", IfMatch=first))
    assert error.code == "PreconditionFailed"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=second)
    assert refused(lambda: put(b"3", IfMatch=second)).code == "NoSuchKey"
    assert refused(lambda: put(b"3", IfNoneMatch='"x"')).code == "NotImplemented"


def test_what_is_not_there(s3: Any, bucket: str) -> None:
    error = refused(lambda: s3.get_object(Bucket=bucket, Key="gone"))
    assert (error.code, error.status) == ("NoSuchKey", 404)
    assert error.message == "The specified key does not exist."
    assert error.body["Key"] == "gone"
    error = refused(lambda: s3.head_object(Bucket=bucket, Key="gone"))
    assert (error.code, error.message, error.status) == ("404", "Not Found", 404)
    error = refused(lambda: s3.get_object(Bucket="no-such-bucket", Key="gone"))
    assert (error.code, error.body["BucketName"]) == ("NoSuchBucket", "no-such-bucket")
    assert s3.delete_object(Bucket=bucket, Key="gone")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_delete_many(s3: Any, bucket: str) -> None:
    keys = ["a", "b/c", "..", "d e", "ü"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    named = [{"Key": key} for key in [*keys, "never there"]]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == sorted([*keys, "never there"])
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    wrong = {"Objects": [{"Key": "kept", "ETag": '"other"'}], "Quiet": True}
    answer = s3.delete_objects(Bucket=bucket, Delete=wrong)
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    assert "Deleted" not in answer


def test_deletes_that_name_a_size_or_a_time(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"four")
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    earlier = modified - timedelta(seconds=5)
    for wrong in ({"Size": 3}, {"LastModifiedTime": earlier}, {"Size": 4, "ETag": '"other"'}):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", **wrong}]})
        (error,) = answer["Errors"]
        assert (error["Key"], error["Code"]) == ("k", "PreconditionFailed")
    for header, value in (("IfMatchSize", 3), ("IfMatchLastModifiedTime", earlier)):
        said = {header: value}
        error = refused(lambda said=said: s3.delete_object(Bucket=bucket, Key="k", **said))
        assert (error.code, error.status) == ("PreconditionFailed", 412)
    right = {"Key": "k", "Size": 4, "LastModifiedTime": modified}
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [right, {"Key": "no", "Size": 1}]})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["k", "no"]
    assert refused(lambda: s3.head_object(Bucket=bucket, Key="k")).code == "404"
    s3.delete_object(Bucket=bucket, Key="k", IfMatchSize=4)


def test_a_key_that_is_too_long(s3: Any, bucket: str) -> None:
    error = refused(lambda: s3.put_object(Bucket=bucket, Key="é" * 513, Body=b"x"))
    assert (error.code, error.body["Size"], error.status) == ("KeyTooLongError", "1026", 400)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("", "a key has at least one character."), ("\ud800", "is not Unicode")],
)
def test_a_key_that_is_none_is_not_said_to_be_too_long(key: str, sentence: str) -> None:
    with pytest.raises(Fault, match=sentence) as caught, s3_faults():
        key_bytes(key)
    assert (caught.value.code, caught.value.status) == ("InvalidArgument", 400)


def test_owner_that_is_expected(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="000000000000")
    error = refused(lambda: s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="1" * 12))
    assert (error.code, error.status) == ("AccessDenied", 403)
    error = refused(lambda: s3.head_bucket(Bucket="missing-one", ExpectedBucketOwner="1" * 12))
    assert (error.code, error.message) == ("404", "Not Found")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"ACL": "public-read"}, "AccessControlListNotSupported"),
        ({"ObjectLockLegalHoldStatus": "ON"}, "InvalidRequest"),
        ({"WriteOffsetBytes": 1}, "NotImplemented"),
        ({"Metadata": {"long": "x" * 2050}}, "MetadataTooLarge"),
        ({"Tagging": "&".join(f"k{n}=v" for n in range(11))}, "BadRequest"),
        ({"ContentMD5": "rubbish"}, "InvalidDigest"),
        ({"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "BadDigest"),
        ({"ChecksumSHA512": "x"}, "NotImplemented"),
    ],
)
def test_what_is_refused_is_refused_by_name(
    s3: Any, bucket: str, said: dict[str, Any], code: str
) -> None:
    error = refused(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **said))
    assert error.code == code
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_key_of_the_customer_is_refused(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError, match="encrypts with no key"):
        s3.put_object(
            Bucket=bucket,
            Key="k",
            Body=b"x",
            SSECustomerAlgorithm="AES256",
            SSECustomerKey="0" * 32,
        )


def test_answers_say_what_a_request_asks_them_to(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="image/png")
    answer = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="text/plain",
        ResponseContentDisposition="attachment",
    )
    assert (answer["ContentType"], answer["ContentDisposition"]) == ("text/plain", "attachment")


SEGMENTS = st.one_of(
    st.sampled_from(
        ["a", "a b", "..", ".", "", "+", "%41", "é", "\U0001f4f7", "~", "&=?#", "'\"<>"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=8),
)


@given(
    keys=st.lists(
        st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join).filter(bool),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_legal_key(service: RunningService, s3: Any, keys: list[str]) -> None:
    bucket = "any-legal-key"
    s3.create_bucket(Bucket=bucket)
    for left in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):  # of an example that failed
        s3.delete_object(Bucket=bucket, Key=left["Key"])
    for number, key in enumerate(keys):
        s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % number, Metadata={"n": str(number)})
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == sorted(keys, key=str.encode)
    for number, key in enumerate(keys):
        answer = s3.get_object(Bucket=bucket, Key=key)
        assert answer["Body"].read() == b"%d" % number
        assert answer["Metadata"] == {"n": str(number)}
    # One by one: a body of XML cannot name every key.
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    root = service.settings.buckets_dir
    assert {path.name for path in root.iterdir()} <= {".clary"} | {
        bucket["Name"] for bucket in s3.list_buckets()["Buckets"]
    }
