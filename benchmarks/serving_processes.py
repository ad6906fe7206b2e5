"""The processes of a server, whatever it has started: told apart by a variable that all inherit."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

MARKER = "CLARY_BENCHMARK_SERVER"


def processes_of(token: str) -> list[tuple[int, int, float]]:
    """The living processes of a server: id, most memory in bytes, processor seconds."""
    marked = f"{MARKER}={token}".encode()
    ticks = os.sysconf("SC_CLK_TCK")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marked not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            parts = (folder / "stat").read_text().rpartition(")")[2].split()
            lines = (folder / "status").read_text().splitlines()
        except OSError:  # it ended meanwhile
            continue
        peak = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
        found.append((int(folder.name), peak, (int(parts[11]) + int(parts[12])) / ticks))
    return found


def end(process: subprocess.Popen[bytes], token: str) -> None:
    """End a server and whatever it has started, by force where somebody loses patience."""
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        pass
    finally:
        for pid, _, _ in processes_of(token):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
