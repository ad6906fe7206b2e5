"""Clients of one service, and a fresh bucket for each test."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.service.conftest import RunningService

_numbers = itertools.count()


@pytest.fixture
def s3(service: RunningService) -> Any:
    """A boto3 client."""
    return service.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    """An empty bucket."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
