"""What the control groups around this process leave of the machine: cores and memory.

Both generations of the kernel's interface are read; a limit of any group further up counts, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OWN_GROUPS = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")
# Version 1 writes a number beyond all memory where there is no limit.
_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True)
class CgroupLimits:
    """The narrowest limits; None where there is none."""

    cores: float | None = None
    memory_bytes: int | None = None
    memory_left_bytes: int | None = None


def cgroup_limits(own: Path = OWN_GROUPS, mounted: Path = MOUNTED) -> CgroupLimits:
    """The limits of this process's groups.

    Args:
        own: the file that names the groups of the process.
        mounted: where their file systems are.
    """
    cores = [_cores(folder) for folder in _folders(own, mounted, "cpu")]
    memory = [limit for each in _folders(own, mounted, "memory") if (limit := _memory(each))]
    return CgroupLimits(
        min((count for count in cores if count), default=None),
        min((limit for limit, _ in memory), default=None),
        min((max(0, limit - used) for limit, used in memory), default=None),
    )


def _folders(own: Path, mounted: Path, controller: str) -> Iterator[Path]:
    """The folder of a group that has a controller, and of every group around it."""
    for line in _text(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = mounted / controller if controllers else mounted
        # In a container the path is the machine's, and only its end, or nothing, is mounted.
        group = root / path.lstrip("/")
        while group != root:
            yield group
            group = group.parent
        yield root


def _cores(group: Path) -> float | None:
    quota, _, period = _text(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(group / "cpu.cfs_quota_us").strip()
        period = _text(group / "cpu.cfs_period_us").strip()
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(quota) / int(period)


def _memory(group: Path) -> tuple[int, int] | None:
    """The limit and what is used of it, without the file cache that the kernel would give back."""
    for limit_file, used_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _text(group / limit_file).strip()
        if not limit.isdecimal() or int(limit) >= _UNLIMITED_BYTES:
            continue
        used = _text(group / used_file).strip()
        given_back = 0
        for line in _text(group / "memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == cache and value.isdecimal():
                given_back = int(value)
        return int(limit), max(0, int(used) - given_back) if used.isdecimal() else 0
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
