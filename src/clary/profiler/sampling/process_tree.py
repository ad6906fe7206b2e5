"""What a job's processes take: the tree below one process, between two looks.

A process that ends between two looks is not lost: whoever waits for it inherits its CPU time and
its transfers, and totals are taken over the tree. The process that looks counts for nothing
itself, but what it has started does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from clary.formats.system_metrics import Metric
from clary.profiler.sampling.proc_files import content_of

# A process has many threads, of which hardly one begins a process; so often all are asked.
_SECONDS_BETWEEN_THREADS = 2.0


class ProcessUse(NamedTuple):
    """What one process has taken since it began.

    `own_s` is CPU time of its threads, `waited_s` of the processes that it has waited for.
    `read` and `written` are bytes from and to disks, theirs too; None where the system does not
    tell. A process that has ended and is not waited for yet has no threads.
    """

    parent: int
    own_s: float
    waited_s: float
    resident_bytes: int
    threads: int
    read: int | None
    written: int | None


Process = tuple[int, float]
"""Its number and when it began: a number alone is given again."""
Uses = Mapping[Process, ProcessUse]


class ProcessTree:
    """Measures a process and all below it from one look to the next. One thread uses it."""

    def __init__(self, root_pid: int, walk: Callable[[], Uses] | None = None) -> None:
        """Nothing is read before the first look.

        Args:
            root_pid: the process; where it is this one, all that it has started.
            walk: finds the processes; what fits this system by default.
        """
        fitting = ProcWalk if sys.platform == "linux" else PsutilWalk
        self._walk = walk or fitting(root_pid)
        self._before: tuple[float, Uses] | None = None

    def look(self) -> list[Metric]:
        """What happened since the look before; of the first one, what needs no earlier."""
        at, now = time.monotonic(), self._walk()
        figures: dict[str, float] = {}
        if self._before is not None and (seconds := at - self._before[0]) > 0:
            before = self._before[1]
            figures["CPUUtilization"] = 100.0 * cpu_seconds(before, now) / seconds
            transferred = transferred_bytes(before, now)
            if transferred is not None:
                figures["BytesRead"] = transferred[0] / seconds
                figures["BytesWritten"] = transferred[1] / seconds
        running = [use for use in now.values() if use.threads]
        figures["MemoryBytes"] = sum(use.resident_bytes for use in running)
        figures["Processes"] = len(running)
        figures["Threads"] = sum(use.threads for use in running)
        self._before = at, now
        return [Metric("process", name, "Process", value) for name, value in figures.items()]


def cpu_seconds(before: Uses, now: Uses) -> float:
    """CPU time that a tree has taken between two looks.

    What processes have that vanished, their parents have inherited. Where they have not (a parent
    may say that it does not care), what the others have taken themselves is all that is seen.
    """
    own = sum(use.own_s - before[key].own_s for key, use in now.items() if key in before)
    total = sum(use.own_s + use.waited_s for use in now.values())
    return max(0.0, own, total - sum(use.own_s + use.waited_s for use in before.values()))


def transferred_bytes(before: Uses, now: Uses) -> tuple[int, int] | None:
    """Bytes that a tree has read and written between two looks; None where nobody tells.

    What a process had that vanished is not taken away where nobody has inherited it who is seen.
    """
    seen = {pid for (pid, _), use in before.items() if use.read is not None}
    kept = [use for key, use in before.items() if key in now or use.parent in seen]
    if all(use.read is None for use in now.values()):
        return None
    read = _sum(use.read for use in now.values()) - _sum(use.read for use in kept)
    written = _sum(use.written for use in now.values()) - _sum(use.written for use in kept)
    return max(0, read), max(0, written)


def _sum(bytes_: Iterable[int | None]) -> int:
    return sum(one for one in bytes_ if one is not None)


class ProcWalk:
    """Finds a tree of processes in Linux's /proc.

    What was found once is kept until it ends, also when its parent has ended before.
    """

    def __init__(self, root_pid: int) -> None:
        self._root = root_pid
        self._own = os.getpid()
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._known: dict[int, float] = {}
        self._root_began: float | None = None
        self._threads_asked_at = -_SECONDS_BETWEEN_THREADS

    def __call__(self) -> Uses:
        """The processes that there are now."""
        now = time.monotonic()
        all_threads = now - self._threads_asked_at >= _SECONDS_BETWEEN_THREADS
        if all_threads:
            self._threads_asked_at = now
        found: dict[Process, ProcessUse] = {}
        # The number, and when the process began where that is known.
        pending: list[tuple[int, float | None]] = [(self._root, self._root_began)]
        pending += self._known.items()
        seen: set[int] = set()
        while pending:
            pid, expected = pending.pop()
            if pid in seen:
                continue
            with suppress(OSError):  # it has ended
                began, use = self._use(pid)
                if expected in {None, began}:
                    seen.add(pid)
                    found[pid, began] = use
                    pending += [(child, None) for child in _children(pid, all_threads=all_threads)]
                    if pid == self._root:
                        self._root_began = began
        self._known = dict(found.keys())
        return found

    def _use(self, pid: int) -> tuple[float, ProcessUse]:
        # The name in parentheses may hold anything: count the fields after it.
        fields = content_of(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        began, parent = float(fields[19]), int(fields[1])
        waited = (int(fields[13]) + int(fields[14])) * self._tick_s
        if pid == self._own:
            return began, ProcessUse(parent, 0.0, waited, 0, 0, None, None)
        own = (int(fields[11]) + int(fields[12])) * self._tick_s
        resident = int(fields[21]) * self._page_bytes
        threads = 0 if fields[0] in {b"Z", b"X"} else int(fields[17])
        return began, ProcessUse(parent, own, waited, resident, threads, *_transfers(pid))


def _transfers(pid: int) -> tuple[int | None, int | None]:
    """Bytes that a process has read and written; none where the kernel does not count them."""
    try:
        content = content_of(f"/proc/{pid}/io")
    except OSError:
        return None, None
    # Names and numbers take turns; the names have been these since 2006.
    *_, read, _, written, _, cancelled = content.split()
    # What was taken back before it reached the disk was not written.
    return int(read), max(0, int(written) - int(cancelled))


def _children(pid: int, *, all_threads: bool) -> list[int]:
    threads = os.listdir(f"/proc/{pid}/task") if all_threads else [str(pid)]  # noqa: PTH208
    children: list[int] = []
    for thread in threads:
        try:
            children += map(int, content_of(f"/proc/{pid}/task/{thread}/children").split())
        except OSError:
            if not Path(f"/proc/{pid}/task/{thread}").exists():
                continue  # it has ended
            return _children_by_parent(pid)
    return children


def _children_by_parent(pid: int) -> list[int]:
    """By a look at all processes: for kernels that list no children."""
    children = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - many times a second
        if entry.isdigit():
            with suppress(OSError):
                fields = content_of(f"/proc/{entry}/stat").rpartition(b")")[2].split()
                if int(fields[1]) == pid:
                    children.append(int(entry))
    return children


class PsutilWalk:
    """Finds a tree of processes on any system that psutil knows."""

    def __init__(self, root_pid: int) -> None:
        self._root = root_pid
        self._own = os.getpid()

    def __call__(self) -> Uses:
        """The processes that there are now."""
        import psutil

        found: dict[Process, ProcessUse] = {}
        with suppress(psutil.Error):
            root = psutil.Process(self._root)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    found[process.pid, process.create_time()] = self._use(process)
        return found

    def _use(self, process: Any) -> ProcessUse:
        with process.oneshot():
            times, parent = process.cpu_times(), process.ppid()
            waited = times.children_user + times.children_system
            if process.pid == self._own:
                return ProcessUse(parent, 0.0, waited, 0, 0, None, None)
            own = times.user + times.system
            resident, threads = process.memory_info().rss, process.num_threads()
            # macOS tells of no transfers of a process.
            transfers = process.io_counters() if hasattr(process, "io_counters") else None
        read, written = (transfers.read_bytes, transfers.write_bytes) if transfers else (None, None)
        return ProcessUse(parent, own, waited, resident, threads, read, written)
