"""The index from many threads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import psutil
import pytest

from clary.object_store.index import Index


def test_a_thread_s_connection_ends_with_the_thread(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    process = psutil.Process()
    seen: list[sqlite3.Connection] = []

    def use() -> None:
        index.add_bucket("any", 1)
        seen.append(index.reading)

    def run(threads: int) -> None:
        for _ in range(threads):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()

    run(2)
    before = process.num_fds()
    run(50)
    assert process.num_fds() <= before
    for connection in seen:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    assert index.created("any") == 1
    index.close()


def test_closing_closes_the_connections_of_threads_that_go_on(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    used, closed = threading.Event(), threading.Event()
    seen: list[sqlite3.Connection] = []

    def use() -> None:
        seen.append(index.reading)
        used.set()
        closed.wait(60)

    thread = threading.Thread(target=use)
    thread.start()
    assert used.wait(60)
    index.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        seen[0].execute("SELECT 1")
    closed.set()
    thread.join()
