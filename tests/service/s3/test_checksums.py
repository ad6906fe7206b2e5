"""Checksums of bodies: in headers, in trailers, given back and held against the bytes."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from typing import Any

import pytest
from botocore.config import Config

from clary.object_store.digests import ALGORITHMS, Digests
from tests.service.conftest import RunningService
from tests.service.s3.faults import refused

BODY = b"some bytes " * 1000


def checksum(algorithm: str, body: bytes = BODY) -> str:
    digests = Digests([algorithm])
    digests.update(body)
    return digests.checksums[algorithm]


def test_the_usual_values() -> None:
    assert checksum("CRC32", b"123456789") == b64encode((0xCBF43926).to_bytes(4, "big")).decode()
    assert checksum("CRC32C", b"123456789") == b64encode((0xE3069283).to_bytes(4, "big")).decode()
    nvme = (0xAE8B14860A799888).to_bytes(8, "big")
    assert checksum("CRC64NVME", b"123456789") == b64encode(nvme).decode()
    assert checksum("SHA256", b"") == b64encode(hashlib.sha256().digest()).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_in_a_header(s3: Any, bucket: str, algorithm: str) -> None:
    said = {f"Checksum{algorithm}": checksum(algorithm)}
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, **said)
    assert put[f"Checksum{algorithm}"] == said[f"Checksum{algorithm}"]
    # botocore reads CRC64NVME and CRC32C only with a library of Amazon's, so look by hand.
    answer = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert answer[f"Checksum{algorithm}"] == said[f"Checksum{algorithm}"]
    assert answer["ChecksumType"] == "FULL_OBJECT"
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ETag", "ObjectSize", "StorageClass"]
    )
    assert attributes["Checksum"][f"Checksum{algorithm}"] == said[f"Checksum{algorithm}"]
    assert attributes["ETag"] == hashlib.md5(BODY).hexdigest()
    assert (attributes["ObjectSize"], attributes["StorageClass"]) == (len(BODY), "STANDARD")
    wrong = {f"Checksum{algorithm}": checksum(algorithm, b"other")}
    error = refused(lambda: s3.put_object(Bucket=bucket, Key="wrong", Body=BODY, **wrong))
    assert error.code == "BadDigest"
    error = refused(
        lambda: s3.put_object(
            Bucket=bucket, Key="wrong", Body=BODY, **{f"Checksum{algorithm}": "?"}
        )
    )
    assert error.code == "InvalidRequest"
    assert refused(lambda: s3.head_object(Bucket=bucket, Key="wrong")).code == "404"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_an_algorithm_is_named_and_the_client_takes_it(
    s3: Any, bucket: str, algorithm: str
) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == checksum(algorithm)
    answer = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert answer["Body"].read() == BODY
    assert answer["ResponseMetadata"]["ChecksumAlgorithm"] == algorithm.lower()


def test_no_checksum_is_wanted(service: RunningService, bucket: str) -> None:
    config = Config(
        request_checksum_calculation="when_required", response_checksum_validation="when_required"
    )
    s3 = service.client("s3", config=config)
    assert "ChecksumCRC32" not in s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BODY


def test_content_md5(s3: Any, bucket: str) -> None:
    md5 = b64encode(hashlib.md5(BODY).digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5=md5)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BODY


def test_a_checksum_is_not_given_beside_a_range(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    answer = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-4", ChecksumMode="ENABLED")
    assert answer["Body"].read() == BODY[1:5]
    assert "ChecksumCRC32" not in answer


def test_a_copy_keeps_or_changes_its_checksum(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    source = {"Bucket": bucket, "Key": "k"}
    copied = s3.copy_object(Bucket=bucket, Key="same", CopySource=source)["CopyObjectResult"]
    assert copied["ChecksumCRC32"] == b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    other = s3.copy_object(Bucket=bucket, Key="c", CopySource=source, ChecksumAlgorithm="CRC32C")
    assert other["CopyObjectResult"]["ChecksumCRC32C"] == checksum("CRC32C")
    assert other["CopyObjectResult"]["ETag"] == copied["ETag"]


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_a_checksum_in_a_trailer(service: RunningService, bucket: str, algorithm: str) -> None:
    """botocore sends it so over TLS; over plain HTTP it must be told to."""

    def into_the_trailer(params: dict[str, Any], **_: Any) -> None:
        params["context"]["checksum"]["request_algorithm"]["in"] = "trailer"

    s3 = service.new_client("s3")
    s3.meta.events.register("before-call.s3.PutObject", into_the_trailer)
    for size in (0, 1, 70_000, 3 << 20):
        body = bytes(size)
        put = s3.put_object(
            Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm, ContentEncoding="gzip"
        )
        assert put[f"Checksum{algorithm}"] == checksum(algorithm, body)
        answer = s3.get_object(Bucket=bucket, Key="k")
        assert answer["Body"].read() == body
        assert answer["ContentEncoding"] == "gzip"
