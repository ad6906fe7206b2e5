"""A session with a service of the test's own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from clary.sdk.office import ensure_running
from clary.sdk.session import Session
from clary.settings import Settings


@pytest.fixture
def session(clary_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Session:
    """Without the process that keeps torch for trainings: a test here has one at most."""
    for name, value in {**clary_environment, "CLARY_WARM": "0"}.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    return Session.on_this_machine(settings, record=ensure_running(settings, say=print))
