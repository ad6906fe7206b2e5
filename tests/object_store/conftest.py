"""A store in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.object_store.store import ObjectStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store lies."""
    return tmp_path / "buckets"


@pytest.fixture
def store(root: Path) -> Iterator[ObjectStore]:
    """An empty store."""
    opened = ObjectStore(root)
    yield opened
    opened.close()


@pytest.fixture
def bucket(store: ObjectStore) -> str:
    """A bucket in it."""
    store.create_bucket("pictures")
    return "pictures"
