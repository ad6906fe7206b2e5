"""A warm parent that cannot load what it is to load: nobody waits for it, and few are started."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.service.executors.surroundings import inherited_environment
from clary.service.executors.warm_hosts import WarmParent
from tests.service.executors.conftest import children_running


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[WarmParent]:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    warm = WarmParent({**inherited_environment(), "PYTHONPATH": str(tmp_path)})
    yield warm
    warm.close()


def test_it_is_given_up_at_its_first_loss(broken: WarmParent, tmp_path: Path) -> None:
    assert not broken.wait(120)
    seen = set()
    began = time.monotonic()
    while time.monotonic() - began < 3:
        assert not broken.is_warm
        seen |= children_running("clary.jobs.warm_parent")
        time.sleep(0.02)
    # After one, two and four seconds, where there is no waiting, at the earliest.
    assert len(seen) <= 3


def test_one_that_is_closed_is_waited_for_no_more(broken: WarmParent) -> None:
    broken.close()
    assert not broken.wait(120)
