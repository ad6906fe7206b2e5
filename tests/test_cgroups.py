"""`clary.cgroups`: both generations of the kernel's interface, as files."""

from __future__ import annotations

from pathlib import Path

from clary.cgroups import CgroupLimits, cgroup_limits

GIB = 1 << 30


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_the_narrowest_group_counts(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/slice/unit\n")
    write(tmp_path / "fs", cpu__max="max 100000")
    write(tmp_path / "fs/slice", cpu__max="150000 100000", memory__max=str(4 * GIB))
    write(tmp_path / "fs/slice", memory__current=str(3 * GIB), memory__stat="anon 5")
    write(tmp_path / "fs/slice/unit", cpu__max="800000 100000", memory__max="max")
    assert cgroup_limits(own, tmp_path / "fs") == CgroupLimits(1.5, 4 * GIB, GIB)


def test_file_caches_are_free_memory(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/\n")
    write(tmp_path / "fs", memory__max=str(4 * GIB), memory__current=str(4 * GIB))
    write(tmp_path / "fs", memory__stat=f"anon 7\ninactive_file {3 * GIB}")
    assert cgroup_limits(own, tmp_path / "fs").memory_left_bytes == 3 * GIB


def test_the_first_generation_has_a_tree_for_each_kind(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("5:memory:/docker/abc\n4:cpu:/docker/abc\n")
    # As in a container: the group's own folder is what is mounted at the root.
    write(tmp_path / "fs/cpu", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    write(tmp_path / "fs/memory", memory__limit_in_bytes=str(2 * GIB))
    write(tmp_path / "fs/memory", memory__usage_in_bytes=str(GIB))
    assert cgroup_limits(own, tmp_path / "fs") == CgroupLimits(2.0, 2 * GIB, GIB)


def test_without_limits_there_are_none(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("5:memory:/\n4:cpu:/\n")
    write(tmp_path / "fs/cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    write(tmp_path / "fs/memory", memory__limit_in_bytes=str((1 << 63) - 4096))
    assert cgroup_limits(own, tmp_path / "fs") == CgroupLimits()
    assert cgroup_limits(tmp_path / "none", tmp_path / "none") == CgroupLimits()
