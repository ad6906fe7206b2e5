"""Pages, prefixes, delimiters, in every version of the operation."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.service.conftest import RunningService
from tests.service.s3.faults import refused

KEYS = [
    "a",
    "a/b",
    "a/b/c",
    "b",
    "photos/2024/x y.jpg",
    "photos/2024/ü.jpg",
    "photos/2025/z.jpg",
    "photos/index.html",
    "photos+plus",
    "z",
]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
def test_pages_join_to_the_whole(s3: Any, filled: str, operation: str, size: int) -> None:
    pages = list(
        s3.get_paginator(operation).paginate(Bucket=filled, PaginationConfig={"PageSize": size})
    )
    found = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert found == sorted(KEYS, key=str.encode)
    assert all(len(page["Contents"]) <= size for page in pages)
    assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects", "list_object_versions"])
def test_a_delimiter_rolls_up(s3: Any, filled: str, operation: str, size: int) -> None:
    def tree(prefix: str) -> tuple[list[str], list[str]]:
        pages = s3.get_paginator(operation).paginate(
            Bucket=filled, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": size}
        )
        keys, prefixes = [], []
        for page in pages:
            keys += [e["Key"] for e in page.get("Contents", page.get("Versions", []))]
            prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        return keys, prefixes

    assert tree("") == (["a", "b", "photos+plus", "z"], ["a/", "photos/"])
    assert tree("photos/") == (["photos/index.html"], ["photos/2024/", "photos/2025/"])
    assert tree("photos/2024/") == (["photos/2024/x y.jpg", "photos/2024/ü.jpg"], [])
    assert tree("nothing/") == ([], [])


def test_start_after_and_owner(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, StartAfter="photos/2024/ü.jpg", FetchOwner=True)
    assert [entry["Key"] for entry in page["Contents"]] == [
        "photos/2025/z.jpg",
        "photos/index.html",
        "z",
    ]
    assert page["Contents"][0]["Owner"]["ID"]
    assert page["StartAfter"] == "photos/2024/ü.jpg"


def test_no_keys_are_asked_for(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_a_token_that_is_none(s3: Any, filled: str) -> None:
    error = refused(lambda: s3.list_objects_v2(Bucket=filled, ContinuationToken="ü!"))
    assert (error.code, error.status) == ("InvalidArgument", 400)


def test_every_object_has_one_version(service: RunningService, s3: Any, filled: str) -> None:
    versions = s3.list_object_versions(Bucket=filled)["Versions"]
    assert {(entry["VersionId"], entry["IsLatest"]) for entry in versions} == {("null", True)}
    assert s3.get_object(Bucket=filled, Key="a", VersionId="null")["Body"].read() == b"a"
    error = refused(lambda: s3.get_object(Bucket=filled, Key="a", VersionId="other"))
    assert error.code == "InvalidArgument"
    service.resource("s3").Bucket(filled).object_versions.delete()
    assert s3.list_objects_v2(Bucket=filled)["KeyCount"] == 0


def test_files_dropped_in_by_hand_appear(service: RunningService, s3: Any, filled: str) -> None:
    folder = service.settings.buckets_dir / filled
    (folder / "by" / "hand").mkdir(parents=True)
    (folder / "by" / "hand" / "note.txt").write_text("here")
    (folder / "a-link").symlink_to("/etc/passwd")
    (folder / "outside").symlink_to("/etc")
    page = s3.list_objects_v2(Bucket=filled)
    keys = [entry["Key"] for entry in page["Contents"]]
    assert keys == sorted([*KEYS, "by/hand/note.txt"], key=str.encode)
    answer = s3.get_object(Bucket=filled, Key="by/hand/note.txt")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"here", "text/plain")
    listed = next(entry for entry in page["Contents"] if entry["Key"] == "by/hand/note.txt")
    assert listed["ETag"] == answer["ETag"]
    (folder / "by" / "hand" / "note.txt").write_text("changed in place")
    listed = s3.list_objects_v2(Bucket=filled, Prefix="by/")["Contents"][0]
    assert (listed["Size"], listed["ETag"] == answer["ETag"]) == (16, False)
    for escape in ("a-link", "outside/passwd"):
        assert refused(lambda k=escape: s3.get_object(Bucket=filled, Key=k)).code == "NoSuchKey"
    s3.put_object(Bucket=filled, Key="outside/passwd", Body=b"mine")
    assert s3.get_object(Bucket=filled, Key="outside/passwd")["Body"].read() == b"mine"


def test_the_resource_api(service: RunningService, bucket: str) -> None:
    held = service.resource("s3").Bucket(bucket)
    held.upload_fileobj(io.BytesIO(b"1"), "x/1")
    held.put_object(Key="x/2", Body=b"2")
    assert [item.key for item in held.objects.filter(Prefix="x/")] == ["x/1", "x/2"]
    target = io.BytesIO()
    held.download_fileobj("x/1", target)
    assert target.getvalue() == b"1"
    assert held.creation_date is not None
    held.objects.delete()
    held.delete()
