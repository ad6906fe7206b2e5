"""A service for all tests of a module: the first of them starts it, and torch is loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import own_clary


@pytest.fixture(scope="module")
def clary_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What processes get that share a home, a port and a service in all of a module's tests."""
    with own_clary(tmp_path_factory.mktemp("clary") / "home") as environment:
        yield environment
