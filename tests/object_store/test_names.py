"""Any legal key has exactly one file, and every file of ours leads back to its key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.object_store.errors import InvalidBucketName, InvalidKey
from clary.object_store.names import (
    SEGMENT_LIMIT_BYTES,
    aside_path,
    check_bucket_name,
    key_aside,
    key_bytes,
    natural_path,
    successor,
)

SPITEFUL = st.lists(
    st.sampled_from(["a", "..", ".", "", "/", "é", "\0", "+", "=", "%2F", "x" * 300]), min_size=1
).map("/".join)


@given(st.one_of(SPITEFUL, st.text(min_size=1, max_size=300)))
def test_a_path_aside_leads_back_to_its_key(key: str) -> None:
    encoded = key.encode("utf-8", "replace")[:1024]
    if encoded:
        path = aside_path(encoded)
        assert key_aside(path) == encoded
        for segment in path.split(b"/"):
            assert segment not in {b"", b".", b".."}
            assert len(segment) <= SEGMENT_LIMIT_BYTES


@given(SPITEFUL)
def test_a_natural_path_stays_below_its_folder(key: str) -> None:
    path = natural_path(key.encode())
    if path is not None:
        assert path == key.encode()
        segments = path.split(b"/")
        assert not {b"", b".", b".."} & set(segments)
        assert b"\0" not in path


@pytest.mark.parametrize(
    "path", [b"x", b"=", b"+a", b"+a/=", b"=%zz", b"=a/=b", b"+a/b", b"=%61", b"=" + b"a" * 201]
)
def test_what_we_did_not_write_aside_is_no_key(path: bytes) -> None:
    assert key_aside(path) is None


@given(st.binary(min_size=1, max_size=5), st.binary(max_size=5))
def test_the_successor_is_above_all_that_begins_so(prefix: bytes, rest: bytes) -> None:
    above = successor(prefix)
    if above is None:
        assert set(prefix) == {0xFF}
    else:
        assert prefix + rest < above
        assert not above.startswith(prefix)


@pytest.mark.parametrize("name", ["abc", "a.b-c", "0" * 63, "sagemaker-us-east-1-000000000000"])
def test_names_of_buckets_that_s3_allows(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    ["ab", "A" * 5, "a_b", "-ab", "ab.", "a..b", "10.0.0.1", "x" * 64, ".clary", "a/b", "été"],
)
def test_names_of_buckets_that_s3_does_not_allow(name: str) -> None:
    with pytest.raises(InvalidBucketName, match="is not a bucket name"):
        check_bucket_name(name)


@pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513, "\ud800"])
def test_keys_that_s3_does_not_allow(key: str) -> None:
    with pytest.raises(InvalidKey):
        key_bytes(key)
