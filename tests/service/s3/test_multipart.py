"""Uploads in parts, in every order, with checksums of the parts and of the whole."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from clary.object_store.digests import Digests, multipart_etag
from tests.service.conftest import RunningService
from tests.service.s3.faults import refused

MIB = 1 << 20
SMALLEST = 5 * MIB


def made_up(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def begin(s3: Any, bucket: str, key: str = "big", **said: Any) -> dict[str, str]:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **said)
    return {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}


def send(s3: Any, upload: dict[str, str], parts: dict[int, bytes], **said: Any) -> list[Any]:
    done = []
    for number, body in parts.items():
        answer = s3.upload_part(**upload, PartNumber=number, Body=body, **said)
        kept = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        done.append({"PartNumber": number, "ETag": answer["ETag"], **kept})
    return sorted(done, key=lambda part: int(part["PartNumber"]))


def complete(s3: Any, upload: dict[str, str], parts: Sequence[Any], **said: Any) -> Any:
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **said)


@pytest.mark.parametrize(
    "order", [[1, 2, 3], [3, 1, 2], [2, 1, 3]], ids=lambda order: "".join(map(str, order))
)
def test_parts_in_any_order(s3: Any, bucket: str, order: list[int]) -> None:
    parts = {1: made_up(SMALLEST, 1), 2: made_up(SMALLEST, 2), 3: b"the end"}
    upload = begin(s3, bucket, ContentType="image/png", Metadata={"a": "b"}, Tagging="t=1")
    done = send(s3, upload, {number: parts[number] for number in order})
    answer = complete(s3, upload, done)
    etags = [hashlib.md5(parts[number]).hexdigest() for number in (1, 2, 3)]
    assert answer["ETag"] == f'"{multipart_etag(etags)}"'
    assert answer["Location"].endswith(f"/{bucket}/big")
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == parts[1] + parts[2] + parts[3]
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("image/png", {"a": "b"}, 1)
    assert got["ETag"] == answer["ETag"]
    again = complete(s3, upload, done)
    assert {**again, "ResponseMetadata": None} == {**answer, "ResponseMetadata": None}
    assert refused(lambda: complete(s3, upload, done[:2])).code == "NoSuchUpload"
    wrong = [{**part, "ETag": done[0]["ETag"]} for part in done]
    assert refused(lambda: complete(s3, upload, wrong)).code == "NoSuchUpload"
    assert refused(lambda: send(s3, upload, {1: b"late"})).code == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_numbers_with_gaps_and_a_part_that_came_twice(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    send(s3, upload, {2: made_up(SMALLEST, 1), 7: made_up(SMALLEST, 2), 9: b"left out"})
    replaced = made_up(SMALLEST + 5, 3)
    (again,) = send(s3, upload, {2: replaced})
    (seventh,) = send(s3, upload, {7: b"short"})
    complete(s3, upload, [again, seventh])
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == replaced + b"short"


def test_what_cannot_be_completed(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    parts = send(s3, upload, {1: b"too small", 2: b"end"})
    error = refused(lambda: complete(s3, upload, parts))
    assert (error.code, error.body["MinSizeAllowed"]) == ("EntityTooSmall", str(SMALLEST))
    assert refused(lambda: complete(s3, upload, parts[::-1])).code == "InvalidPartOrder"
    unknown = [{"PartNumber": 3, "ETag": parts[0]["ETag"]}]
    assert refused(lambda: complete(s3, upload, unknown)).code == "InvalidPart"
    wrong = [{"PartNumber": 1, "ETag": '"0123"'}]
    assert refused(lambda: complete(s3, upload, wrong)).code == "InvalidPart"
    assert refused(lambda: complete(s3, upload, [])).code == "MalformedXML"
    error = refused(lambda: complete(s3, upload, parts[:1], MpuObjectSize=3))
    assert error.code == "InvalidRequest"
    assert refused(lambda: s3.head_object(Bucket=bucket, Key="big")).code == "404"
    complete(s3, upload, parts[:1], MpuObjectSize=9)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"too small"


def test_abort(service: RunningService, s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    send(s3, upload, {1: b"x"})
    s3.abort_multipart_upload(**upload)
    for call in (
        lambda: s3.abort_multipart_upload(**upload),
        lambda: s3.upload_part(**upload, PartNumber=1, Body=b"x"),
        lambda: s3.list_parts(**upload),
    ):
        error = refused(call)
        assert (error.code, error.status) == ("NoSuchUpload", 404)
    assert list((service.settings.buckets_dir / ".clary" / "uploads").iterdir()) == []


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(s3: Any, bucket: str, number: int) -> None:
    upload = begin(s3, bucket)
    error = refused(lambda: s3.upload_part(**upload, PartNumber=number, Body=b"x"))
    assert error.code == "InvalidArgument"


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE"), ("SHA1", None)],
)
def test_checksums_of_parts_become_one(
    s3: Any, bucket: str, algorithm: str, kind: str | None
) -> None:
    parts = {1: made_up(SMALLEST, 1), 2: b"end"}
    said = {"ChecksumAlgorithm": algorithm, **({"ChecksumType": kind} if kind else {})}
    upload = begin(s3, bucket, **said)
    done = send(s3, upload, parts, ChecksumAlgorithm=algorithm)
    answer = complete(s3, upload, done)
    assert answer["ChecksumType"] == (kind or "COMPOSITE")
    value = answer[f"Checksum{algorithm}"]
    if kind == "FULL_OBJECT":
        whole = Digests([algorithm])
        whole.update(parts[1] + parts[2])
        assert value == whole.checksums[algorithm]
        got = s3.get_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
        assert got["Body"].read() == parts[1] + parts[2]
    else:
        assert value.endswith("-2")
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="big", ObjectAttributes=["ObjectParts", "Checksum"]
    )
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2
    assert [part["Size"] for part in attributes["ObjectParts"]["Parts"]] == [SMALLEST, 3]
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (b"end", 2)
    error = refused(lambda: s3.get_object(Bucket=bucket, Key="big", PartNumber=3))
    assert (error.code, error.status) == ("InvalidPartNumber", 416)


def test_checksums_that_do_not_go_together(s3: Any, bucket: str) -> None:
    error = refused(
        lambda: begin(s3, bucket, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")
    )
    assert error.code == "InvalidRequest"
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    error = refused(
        lambda: s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA1")
    )
    assert error.code == "InvalidRequest"


def test_parts_that_are_copied(s3: Any, bucket: str) -> None:
    body = made_up(SMALLEST + 100)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    upload = begin(s3, bucket)
    source = {"Bucket": bucket, "Key": "source"}
    done = []
    for number, span in ((1, "bytes=10-5242889"), (2, "bytes=0-9")):
        result = s3.upload_part_copy(
            **upload, PartNumber=number, CopySource=source, CopySourceRange=span
        )["CopyPartResult"]
        done.append({"PartNumber": number, "ETag": result["ETag"]})
    complete(s3, upload, done)
    expected = body[10 : 10 + SMALLEST] + body[:10]
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == expected
    upload = begin(s3, bucket)
    error = refused(
        lambda: s3.upload_part_copy(
            **upload, PartNumber=1, CopySource=source, CopySourceRange="bytes=0-99999999"
        )
    )
    assert error.code == "InvalidArgument"


def test_parts_and_uploads_in_pages(s3: Any, bucket: str) -> None:
    uploads = [begin(s3, bucket, key) for key in ("a/1", "a/2", "b", "b")]
    send(s3, uploads[0], {number: b"%d" % number for number in range(1, 6)})
    pages = list(
        s3.get_paginator("list_parts").paginate(**uploads[0], PaginationConfig={"PageSize": 2})
    )
    numbers = [[part["PartNumber"] for part in page["Parts"]] for page in pages]
    assert numbers == [[1, 2], [3, 4], [5]]
    listed = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )
    found = [entry["UploadId"] for page in listed for entry in page.get("Uploads", [])]
    assert found == [upload["UploadId"] for upload in uploads]
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in rolled["CommonPrefixes"]] == ["a/"]
    assert len(rolled["Uploads"]) == 2


def test_boto3_transfers(service: RunningService, s3: Any, bucket: str) -> None:
    body = made_up(23 * MIB + 17)
    s3.upload_fileobj(io.BytesIO(body), bucket, "x/y.bin", ExtraArgs={"Metadata": {"a": "b"}})
    target = io.BytesIO()
    s3.download_fileobj(bucket, "x/y.bin", target)
    assert target.getvalue() == body
    small_parts = TransferConfig(multipart_threshold=SMALLEST, multipart_chunksize=SMALLEST)
    s3.copy({"Bucket": bucket, "Key": "x/y.bin"}, bucket, "copied", Config=small_parts)
    assert s3.get_object(Bucket=bucket, Key="copied")["Body"].read() == body
    assert (service.settings.buckets_dir / bucket / "x" / "y.bin").read_bytes() == body
    assert not any((service.settings.buckets_dir / ".clary" / "temporary").iterdir())


def test_an_upload_goes_on_after_a_kill(own_service: RunningService) -> None:
    s3 = own_service.client("s3")
    s3.create_bucket(Bucket="kept")
    parts = {1: made_up(SMALLEST, 1), 2: made_up(SMALLEST, 2), 3: b"end"}
    upload = begin(s3, "kept")
    done = send(s3, upload, {1: parts[1]})
    own_service.kill()
    own_service.start(own_service.port)
    done += send(s3, upload, {2: parts[2], 3: parts[3]})
    answer = complete(s3, upload, done, IfNoneMatch="*")
    got = s3.get_object(Bucket="kept", Key="big")["Body"].read()
    assert got == parts[1] + parts[2] + parts[3]
    own_service.kill()
    own_service.start(own_service.port)
    # A client that heard no answer asks again.
    assert complete(s3, upload, done, IfNoneMatch="*")["ETag"] == answer["ETag"]
    s3.delete_object(Bucket="kept", Key="big")
    s3.delete_bucket(Bucket="kept")
    s3.create_bucket(Bucket="kept")
    assert refused(lambda: complete(s3, upload, done)).code == "NoSuchUpload"
