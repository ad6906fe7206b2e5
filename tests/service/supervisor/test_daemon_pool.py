"""Threads that are used again, are never too many, and end when nobody needs them."""

from __future__ import annotations

import threading

import pytest

from clary.service.supervisor.daemon_pool import DaemonPool
from tests.waiting import PATIENCE_S, until


def test_one_task_after_the_other_takes_one_thread() -> None:
    pool = DaemonPool()
    threads = set()
    for _ in range(200):
        threads.add(pool.submit(threading.current_thread).result(PATIENCE_S))
        pool.join(PATIENCE_S)
    assert len(threads) == 1
    assert all(thread.daemon for thread in threads)


def test_tasks_run_at_once_up_to_the_limit_and_the_others_in_turn() -> None:
    pool = DaemonPool(limit=4)
    together = threading.Barrier(4)
    go_on = threading.Event()
    order: list[int] = []

    def hold() -> threading.Thread:
        together.wait(PATIENCE_S)
        assert go_on.wait(PATIENCE_S)
        return threading.current_thread()

    held = [pool.submit(hold) for _ in range(4)]
    until(lambda: all(one.running() for one in held))
    waiting = [pool.submit(order.append, number) for number in range(3)]
    cancelled = pool.submit(order.append, 99)
    assert cancelled.cancel()
    assert not any(one.done() for one in waiting)
    go_on.set()
    assert len({one.result(PATIENCE_S) for one in held}) == 4
    pool.join(PATIENCE_S)
    assert sorted(order) == [0, 1, 2]


def test_a_thread_without_a_task_ends_and_a_later_task_has_another() -> None:
    pool = DaemonPool(idle_s=0.01)
    first = pool.submit(threading.current_thread).result(PATIENCE_S)
    first.join(PATIENCE_S)
    assert not first.is_alive()
    assert pool.submit(threading.current_thread).result(PATIENCE_S) is not first


def test_what_a_task_raises_is_the_waiting_one_s_and_harms_no_thread() -> None:
    pool = DaemonPool(limit=1)

    def fail() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        pool.submit(fail).result(PATIENCE_S)
    assert pool.submit(lambda: 5).result(PATIENCE_S) == 5


def test_joining_waits_for_what_runs_and_no_longer_than_it_is_told() -> None:
    pool = DaemonPool(limit=1)
    go_on = threading.Event()
    held = pool.submit(go_on.wait, PATIENCE_S)
    queued = pool.submit(lambda: 5)
    pool.join(0.05)
    assert not held.done()
    go_on.set()
    pool.join(PATIENCE_S)
    assert queued.done()
