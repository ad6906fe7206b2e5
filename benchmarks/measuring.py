"""Interleaved measurements on a machine that others use too.

Single times mean little on a shared machine: contestants take turns (A B A B …), each in its own
process that stands still while it is not on the clock, and what counts is the ratio within a
round. Every table says under which conditions it was taken, with n, median and spread, and how
much processor time others used meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO, Any

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CPU_FLAGS = ("avx512f", "avx512_bf16", "amx_bf16", "amx_int8")


def conditions(date: str) -> str:
    """Describe the machine and the libraries in a few lines that head a table."""
    about = Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in about.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    present = [flag if flag in flags else f"no {flag}" for flag in CPU_FLAGS]
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    libraries = ("torch", "torchvision", "timm", "pillow")
    return "\n".join(
        [
            f"date {date}",
            f"CPU {fields.get('model name', platform.processor())} ({family}), "
            f"{len(os.sched_getaffinity(0))} cores, {', '.join(present)}",
            f"huge pages {huge_pages.read_text().strip() if huge_pages.exists() else 'unknown'}, "
            f"load {os.getloadavg()[0]:.1f} at the start",
            f"Python {platform.python_version()}, "
            + ", ".join(f"{name} {metadata.version(name)}" for name in libraries),
        ]
    )


def busy_seconds() -> float:
    """Processor time that all processes of this machine have used since it started."""
    ticks = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_SECOND


def group_seconds(group: int) -> float:
    """Processor time that the living processes of a process group have used."""
    parts = [part for _, part in _processes_of(group)]
    return sum(int(part[11]) + int(part[12]) for part in parts) / TICKS_PER_SECOND


def group_bytes(group: int) -> int:
    """The most memory that each of the living processes of a process group has had."""
    found = 0
    for process, _ in _processes_of(group):
        lines = (process / "status").read_text().splitlines()
        found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    return found


def available_bytes() -> int:
    """Memory that this machine has left without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))


def _processes_of(group: int) -> Iterator[tuple[Path, list[str]]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold spaces: count the fields after it.
            parts = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended between the listing and the reading
            continue
        if int(parts[2]) == group:
            yield stat.parent, parts


@dataclass(frozen=True)
class Section:
    """One turn of one contestant; `others` is in cores, 0 is a quiet machine, `steps` are the
    seconds of each batch.
    """

    images: int
    seconds: float
    others: float
    steps: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


@dataclass
class Contestant:
    """A process that works in sections (see `sections.py`) and stands still between them."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _log: IO[str] | None = None

    def start(self) -> None:
        """Start it, where it is not launched yet, and wait until it is warm."""
        if self._process is None:
            self.launch()
        self._line()

    def launch(self) -> None:
        """Start it without waiting."""
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # A group of its own, to be stopped whole, but in this session: the scheduler
            # shares processor time between sessions, and `nice` counts only within one.
            preexec_fn=os.setpgrp,  # noqa: PLW1509
        )

    def take_turn(self) -> None:
        """Let it work for one section."""
        assert self._process is not None
        group = self._process.pid
        busy, own = busy_seconds(), group_seconds(group)
        os.killpg(group, signal.SIGCONT)
        line = self._line()
        own = group_seconds(group) - own
        # Validation may run off the clock, so the share of others is taken over the same wall
        # time as the busy time, not over the section's seconds.
        others = max(0.0, busy_seconds() - busy - own) / line["seconds"]
        section = Section(line["images"], line["seconds"], others, tuple(line["steps"]))
        self.sections.append(section)

    @property
    def peak_bytes(self) -> int:
        """The most memory that it has had, all its processes together."""
        assert self._process is not None
        return group_bytes(self._process.pid)

    def ask_to_end(self) -> None:
        """Let it end in its own time, with what it does at its end; `close` waits for it."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            os.killpg(self._process.pid, signal.SIGCONT)

    def close(self, *, patience: float = 0) -> None:
        """End it and everything it started, once it has had some seconds to end by itself."""
        if self._process is not None and patience:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=patience)
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._process.returncode = os.waitstatus_to_exitcode(status)
            assert self._log is not None
            self._log.seek(0)
            raise RuntimeError(f"{self.name} ended early:\n{self._log.read()[-4000:]}")
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line


def interleave(contestants: Sequence[Contestant], *, rounds: int) -> None:
    """Warm all contestants up, then give each a turn per round; the order turns every round."""
    try:
        for contestant in contestants:
            contestant.start()
        for number in range(rounds):
            order = contestants if number % 2 == 0 else contestants[::-1]
            for contestant in order:
                contestant.take_turn()
            print(f"round {number + 1}/{rounds}", file=sys.stderr, flush=True)
    finally:
        for contestant in contestants:
            contestant.close()


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and largest value it was taken from."""

    values: Sequence[float]

    def __str__(self) -> str:
        if not self.values:
            return "–"
        middle, low, high = statistics.median(self.values), min(self.values), max(self.values)
        digits = 2 if middle < 10 else 1
        return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def race_table(
    contestants: Sequence[Contestant], baseline: Contestant, *, quiet_below: float = 0.25
) -> str:
    """Compare with the baseline, round by round; quiet rounds are given apart.

    A round is quiet when others used less than `quiet_below` cores during each of its turns.
    """
    rounds = list(zip(*(contestant.sections for contestant in contestants), strict=True))
    quiet = [turns for turns in rounds if max(turn.others for turn in turns) < quiet_below]
    lines = [
        f"n = {len(rounds)} rounds, {len(quiet)} quiet; median (min–max)",
        "| contestant | img/s | ratio | ratio, quiet rounds | cores used by others |",
        "|---|---|---|---|---|",
    ]
    base = contestants.index(baseline)
    for index, contestant in enumerate(contestants):
        rate = Spread([turns[index].rate for turns in rounds])
        ratio = Spread([turns[index].rate / turns[base].rate for turns in rounds])
        calm = Spread([turns[index].rate / turns[base].rate for turns in quiet])
        others = Spread([turns[index].others for turns in rounds])
        lines.append(f"| {contestant.name} | {rate} | {ratio} | {calm} | {others} |")
    return "\n".join(lines)
