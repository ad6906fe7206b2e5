"""Buckets, and folders that are served in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from tests.service.conftest import RunningService
from tests.service.s3.faults import refused


def link(service: RunningService, bucket: str, folder: Path) -> Any:
    """What `clary data link` does."""
    client = service.new_client("s3")
    client.meta.events.register(
        "before-sign.s3.CreateBucket",
        lambda request, **_: request.headers.add_header("x-clary-folder", quote(str(folder))),
    )
    return client.create_bucket(Bucket=bucket)


def test_create_head_locate_list_delete(s3: Any) -> None:
    created = s3.create_bucket(Bucket="a-new.bucket")
    assert created["Location"] == "/a-new.bucket"
    assert s3.create_bucket(Bucket="a-new.bucket")["Location"] == "/a-new.bucket"
    assert s3.head_bucket(Bucket="a-new.bucket")["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket="a-new.bucket")["LocationConstraint"] is None
    assert "a-new.bucket" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert "Status" not in s3.get_bucket_versioning(Bucket="a-new.bucket")
    s3.delete_bucket(Bucket="a-new.bucket")
    error = refused(lambda: s3.head_bucket(Bucket="a-new.bucket"))
    assert (error.code, error.message, error.status) == ("404", "Not Found", 404)
    assert refused(lambda: s3.delete_bucket(Bucket="a-new.bucket")).code == "NoSuchBucket"


def test_a_bucket_with_objects_stays(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="../k", Body=b"x")
    error = refused(lambda: s3.delete_bucket(Bucket=bucket))
    assert (error.code, error.status) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="../k")
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["Upper", "a..b", "192.168.0.1"])
def test_names_that_s3_does_not_allow(service: RunningService, name: str) -> None:
    client = service.client("s3")
    error = refused(lambda: client.create_bucket(Bucket=name))
    assert (error.code, error.status) == ("InvalidBucketName", 400)


def test_buckets_in_pages(s3: Any) -> None:
    names = [f"paged-{letter}" for letter in "abc"]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = s3.get_paginator("list_buckets").paginate(
        Prefix="paged-", PaginationConfig={"PageSize": 2}
    )
    found = [[bucket["Name"] for bucket in page.get("Buckets", [])] for page in pages]
    assert found == [names[:2], names[2:]]


def test_another_region_than_us_east_1(tmp_path: Path) -> None:
    running = RunningService(tmp_path / "home", {"AWS_DEFAULT_REGION": "eu-west-1"})
    running.start()
    try:
        s3 = running.client("s3")
        s3.create_bucket(
            Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        assert s3.get_bucket_location(Bucket="far-away")["LocationConstraint"] == "eu-west-1"
        error = refused(
            lambda: s3.create_bucket(
                Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
        )
        assert (error.code, error.status) == ("BucketAlreadyOwnedByYou", 409)
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("get_bucket_tagging", "NoSuchTagSet"),
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_cors", "NoSuchCORSConfiguration"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
    ],
)
def test_what_no_bucket_has(s3: Any, bucket: str, operation: str, code: str) -> None:
    assert refused(lambda: getattr(s3, operation)(Bucket=bucket)).code == code


def test_the_owner_alone_may_do_everything(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    for answer in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        (grant,) = answer["Grants"]
        assert grant["Permission"] == "FULL_CONTROL"
        assert grant["Grantee"]["ID"] == answer["Owner"]["ID"]


def test_versioning_cannot_be_enabled(s3: Any, bucket: str) -> None:
    def put(status: str) -> None:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    assert refused(lambda: put("Enabled")).code == "InvalidRequest"
    put("Suspended")


def test_a_folder_is_served_in_place_and_only_read(
    service: RunningService, s3: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "photos of ours"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "tom.jpg").write_bytes(b"tom")
    (folder / "linked.jpg").symlink_to(folder / "cats" / "tom.jpg")
    link(service, "photos", folder)
    link(service, "photos", folder)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="photos")["Contents"]]
    assert keys == ["cats/tom.jpg", "linked.jpg"]
    answer = s3.get_object(Bucket="photos", Key="cats/tom.jpg")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"tom", "image/jpeg")
    for change in (
        lambda: s3.put_object(Bucket="photos", Key="new", Body=b"x"),
        lambda: s3.delete_object(Bucket="photos", Key="cats/tom.jpg"),
        lambda: s3.create_multipart_upload(Bucket="photos", Key="new"),
    ):
        error = refused(change)
        assert (error.code, error.status) == ("AccessDenied", 403)
        assert "read-only" in error.message
    other = tmp_path / "other"
    other.mkdir()
    assert refused(lambda: link(service, "photos", other)).code == "BucketAlreadyExists"
    assert refused(lambda: link(service, "nothing", tmp_path / "no")).code == "InvalidArgument"
    s3.delete_bucket(Bucket="photos")
    assert (folder / "cats" / "tom.jpg").read_bytes() == b"tom"
    assert refused(lambda: s3.head_bucket(Bucket="photos")).code == "404"


def test_a_linked_folder_that_is_gone_is_said(
    service: RunningService, s3: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "soon-gone"
    folder.mkdir()
    link(service, "soon-gone", folder)
    folder.rmdir()
    error = refused(lambda: s3.list_objects_v2(Bucket="soon-gone"))
    assert error.code == "NoSuchBucket"
    assert "which is not there any more" in error.message
    s3.delete_bucket(Bucket="soon-gone")


def test_a_path_in_place_of_a_bucket_removes_no_link(
    service: RunningService, tmp_path: Path
) -> None:
    link_elsewhere = tmp_path / "link"
    link_elsewhere.symlink_to(tmp_path)
    credentials = service.credentials
    request = AWSRequest("DELETE", f"{service.url}/{link_elsewhere}")
    S3SigV4Auth(
        Credentials(credentials.access_key, credentials.secret_key), "s3", credentials.region
    ).add_auth(request)
    # The signature is of the decoded path.
    request.url = f"{service.url}/{quote(str(link_elsewhere), safe='')}"
    answer = URLLib3Session().send(request.prepare())
    assert (answer.status_code, b"<Code>NoSuchBucket</Code>" in answer.content) == (404, True)
    assert link_elsewhere.is_symlink()
