"""Rounds follow changes, a failed one is made again, and who waits is woken."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clary.service.supervisor.round_loop import RoundLoop


def test_a_round_follows_a_change_and_the_time_that_was_asked_for() -> None:
    made = threading.Semaphore(0)
    pauses = iter([0.01, 0.01, None, None])

    def make_round() -> float | None:
        made.release()
        return next(pauses)

    loop = RoundLoop("rounds", make_round, waiters=1)
    loop.start()
    try:
        for _ in range(3):
            assert made.acquire(timeout=20)
        assert not made.acquire(timeout=0.1)
        loop.wake()
        assert made.acquire(timeout=20)
    finally:
        loop.close()


def test_a_failed_round_is_told_and_made_again(caplog: pytest.LogCaptureFixture) -> None:
    again = threading.Event()
    failing = [True]

    def make_round() -> None:
        if failing.pop() if failing else False:
            raise RuntimeError("no room")
        again.set()

    loop = RoundLoop("rounds", make_round, waiters=1, retry_s=0.01)
    with caplog.at_level(logging.ERROR):
        loop.start()
        try:
            assert again.wait(20)
        finally:
            loop.close()
    assert "A round of rounds failed" in caplog.text
    assert "no room" in caplog.text


def test_the_first_round_is_over_when_it_is_asked_for() -> None:
    made: list[str] = []
    loop = RoundLoop("rounds", lambda: made.append(threading.current_thread().name), waiters=1)
    loop.start(first_here=True)
    loop.close()
    assert made[0] == threading.current_thread().name


def test_who_waits_gets_what_is_wanted_or_what_there_is() -> None:
    loop = RoundLoop("rounds", lambda: None, waiters=1)
    loop.start()
    records = {"job": 1}
    looked = threading.Semaphore(0)

    def find(name: str) -> int | None:
        looked.release()
        return records.get(name)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(loop.wait_until, find, "job", lambda one: one == 2, 60)
        assert looked.acquire(timeout=20)
        # The only place is taken, so that this one gets what there is, at once.
        begun = time.monotonic()
        assert loop.wait_until(find, "job", lambda one: one == 3, 60) == 1
        assert time.monotonic() - begun < 30
        records["job"] = 2
        loop.wake()
        assert waiting.result(20) == 2
        assert loop.wait_until(records.get, "gone", lambda _: True, 60) is None
        waiting = pool.submit(loop.wait_until, find, "job", lambda one: one == 3, 60)
        loop.release()
        assert waiting.result(20) == 2
    loop.close()
