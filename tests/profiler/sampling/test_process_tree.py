"""Trees of real processes between two looks, and the arithmetic of what they take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.profiler.sampling.process_tree import (
    ProcessTree,
    ProcessUse,
    ProcWalk,
    PsutilWalk,
    cpu_seconds,
    transferred_bytes,
)
from tests.waiting import until

WALKS = [
    pytest.param(
        ProcWalk, marks=pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
    ),
    PsutilWalk,
]
Walk = Callable[[int], ProcWalk | PsutilWalk]

# Does what it is told, line by line: a process whose children can be told to come and go.
ROOT = """
import os, signal, subprocess, sys, time
BURN = "import time; end = time.process_time() + float({})\\nwhile time.process_time() < end: pass"
STAY = "import time; x = bytearray(60_000_000); time.sleep(600)"
for line in sys.stdin:
    what, _, given = line.strip().partition(" ")
    if what == "burn":
        exec(BURN.format(given))
    elif what == "child":
        subprocess.run([sys.executable, "-c", BURN.format(given)], check=True)
    elif what == "grandchild":
        shell = f'{sys.executable} -c "$0"; true'
        subprocess.run(["sh", "-c", shell, BURN.format(given)], check=True)
    elif what == "stay":
        subprocess.Popen([sys.executable, "-c", STAY])
    elif what == "ignore":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    elif what == "write":
        with open(given, "wb") as file:
            file.write(bytes(4 << 20))
            file.flush()
            os.fsync(file.fileno())
    print("done", flush=True)
"""


class Root:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def running() -> Iterator[Root]:
    root = Root()
    try:
        root.tell("nothing")
        yield root
    finally:
        # All are of its group, also those that have lost their parent.
        os.killpg(root.pid, 9)
        root.process.wait()


def figures(tree: ProcessTree) -> dict[str, float]:
    return {one.name: one.value for one in tree.look()}


def cpu_s(walk: Walk, root: Root, line: str) -> float:
    """CPU seconds that the tree was seen to take while the root did as told."""
    find = walk(root.pid)
    before = find()
    root.tell(line)
    return cpu_seconds(before, find())


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("line", ["burn 0.4", "child 0.4", "grandchild 0.4"])
def test_what_a_tree_takes_is_counted_also_of_those_that_ended(walk: Walk, line: str) -> None:
    with running() as root:
        # To start an interpreter takes time, too.
        assert 0.35 <= cpu_s(walk, root, line) <= 5


@pytest.mark.parametrize("walk", WALKS)
def test_children_that_nobody_waits_for_take_nothing_away(walk: Walk) -> None:
    with running() as root:
        root.tell("stay")
        root.tell("ignore")
        find = walk(root.pid)
        before = find()
        assert len(before) == 2
        child = next(pid for pid, _ in before if pid != root.pid)
        os.kill(child, 9)
        while Path(f"/proc/{child}").exists():
            time.sleep(0.01)
        root.tell("burn 0.3")
        assert 0.25 <= cpu_seconds(before, find()) <= 3


@pytest.mark.parametrize("walk", WALKS)
def test_memory_and_threads_are_those_of_all(walk: Walk) -> None:
    with running() as root:
        tree = ProcessTree(root.pid, walk(root.pid))
        alone = figures(tree)
        assert alone["Processes"] == 1
        root.tell("stay")
        enough = alone["MemoryBytes"] + 55_000_000
        until(lambda: figures(tree)["MemoryBytes"] >= enough)
        now = figures(tree)
        assert now["Processes"] == 2
        assert now["Threads"] >= 2
        assert now["CPUUtilization"] >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_who_has_lost_his_parent_is_still_of_the_tree() -> None:
    with running() as root:
        find = ProcWalk(root.pid)
        find()
        root.tell("stay")
        found = find()
        assert len(found) == 2
        os.kill(root.pid, 9)
        root.process.wait()
        left = find()
        assert set(left) < set(found)
        assert len(left) == 1


def test_what_was_written_is_counted(tmp_path: Path) -> None:
    with running() as root:
        find = ProcWalk(root.pid)
        before = find()
        root.tell(f"write {tmp_path / 'file'}")
        transferred = transferred_bytes(before, find())
    if transferred is None or not transferred[1]:
        pytest.skip("this system does not count what processes write")
    assert transferred[1] >= 4 << 20


@pytest.mark.parametrize("walk", WALKS)
def test_the_process_that_looks_counts_for_nothing_itself(walk: Walk) -> None:
    # Other tests of this process may have left some.
    others = len(psutil.Process().children(recursive=True))
    tree = ProcessTree(os.getpid(), walk(os.getpid()))
    tree.look()
    began, used = time.monotonic(), time.process_time()
    while time.process_time() < used + 0.2:
        pass
    own = 100 * 0.2 / (time.monotonic() - began)
    seen = figures(tree)
    assert seen["CPUUtilization"] < own / 2
    assert seen["Processes"] == others
    assert (seen["MemoryBytes"] > 0) == (seen["Threads"] > 0) == (others > 0)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert figures(tree)["Processes"] == others + 1
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("walk", WALKS)
def test_a_root_that_is_gone_has_no_tree(walk: Walk) -> None:
    with running() as root:
        tree = ProcessTree(root.pid, walk(root.pid))
        tree.look()
    seen = figures(tree)
    assert seen["Processes"] == 0
    assert seen["CPUUtilization"] == 0


def use(own_s: float, waited_s: float = 0.0, parent: int = 1) -> ProcessUse:
    return ProcessUse(parent, own_s, waited_s, 0, 1, 0, 0)


amounts = st.floats(0, 1e6)


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=6), st.data())
def test_ends_of_children_neither_add_nor_take_away(
    children: list[tuple[float, float]], data: st.DataObject
) -> None:
    """Each child has taken some before the first look and more until it ended or the second."""
    before = {(1, 0.0): use(0.0)}
    now = {}
    waited = 0.0
    for number, (earlier, more) in enumerate(children, 2):
        before[number, 0.0] = use(earlier)
        if data.draw(st.booleans()):
            waited += earlier + more
        else:
            now[number, 0.0] = use(earlier + more)
    now[1, 0.0] = use(0.0, waited)
    expected = sum(more for _, more in children)
    assert cpu_seconds(before, now) == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.tuples(amounts, amounts, st.booleans(), st.booleans()), max_size=6))
def test_never_less_than_nothing(processes: list[tuple[float, float, bool, bool]]) -> None:
    before = {
        (n, 0.0): use(own, waited) for n, (own, waited, then, _) in enumerate(processes) if then
    }
    now = {
        (n, 0.0): use(own, waited) for n, (own, waited, _, later) in enumerate(processes) if later
    }
    assert cpu_seconds(before, now) >= 0
    read, written = transferred_bytes(before, now) or (0, 0)
    assert read >= 0
    assert written >= 0
