"""Looks at the machine: cores, memory, arithmetic, private mounts, open files."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from collections.abc import Iterator

import psutil

from clary.cgroups import cgroup_limits
from clary.cores import THREADS, visible_cores, whole_cores
from clary.formats.text import counted
from clary.processor import cpu_flags, has_bf16
from clary.sdk.doctor.observation import Observation, Surroundings, sized
from clary.sdk.processes import PROGRAM_ENVIRONMENT, job_command

# torch, a network and a batch of 32 at 224 px, beside a service and its warm parent.
LITTLE_MEMORY_BYTES = 2 << 30
# What the service asks the system for.
WANTED_OPEN_FILES = 16_384
_PATIENCE_S = 20.0


def look_at_cores(around: Surroundings) -> Iterator[Observation]:
    """How many cores there are, and how many a control group leaves."""
    yield judge_cores(visible_cores(), cgroup_limits().cores, around)


def judge_cores(visible: int, allowed: float | None, around: Surroundings) -> Observation:
    """What trainings make of the cores.

    Args:
        visible: how many the system shows.
        allowed: how many of them a control group allows; None for all.
        around: say how many trainings run at once, and on how many threads they were asked to.
    """
    usable = whole_cores(visible, allowed)
    found = f"{visible}"
    if allowed is not None and allowed < visible:
        found += f", of which a control group allows {allowed:g}"
    at_once = f"{around.settings.max_jobs} at once at most"
    asked = around.environment.get(THREADS, "").partition(",")[0]
    if not asked.isdecimal() or int(asked) in {0, usable}:
        used = "them all" if usable == visible else counted(usable, "thread")
        return Observation("cores", found, f"trainings use {used}, {at_once}")
    keeps = f"{THREADS}={asked} has trainings compute on {counted(int(asked), 'thread')}"
    if int(asked) < usable:
        return Observation(
            "cores",
            found,
            f"{keeps}, {at_once}",
            "note",
            f"unset {THREADS} before the service starts: they use all cores then",
        )
    return Observation(
        "cores",
        found,
        f"{keeps}, which wait for each other",
        "warning",
        f"unset {THREADS}, or set it to {usable}, before the service starts",
    )


def look_at_memory(_around: Surroundings) -> Iterator[Observation]:
    """How much memory there is, and how much is left."""
    whole = psutil.virtual_memory()
    limits = cgroup_limits()
    total, left = whole.total, whole.available
    limited = limits.memory_bytes is not None and limits.memory_bytes < total
    if limits.memory_bytes is not None and limits.memory_left_bytes is not None:
        total, left = min(total, limits.memory_bytes), min(left, limits.memory_left_bytes)
    found = f"{sized(total)}, {sized(left)} free{' (a control group allows that)' * limited}"
    if left < LITTLE_MEMORY_BYTES:
        yield Observation(
            "memory",
            found,
            f"a training needs about {sized(LITTLE_MEMORY_BYTES)} and may be killed",
            "warning",
            "close other programs, or train with a smaller --batch-size and --image-size",
        )
        return
    yield Observation("memory", found, "enough for a training and a service")


def look_at_arithmetic(_around: Surroundings) -> Iterator[Observation]:
    """Which instructions for small numbers the processor has."""
    flags = cpu_flags()
    if flags is None:
        yield Observation(
            "processor", platform.machine(), "torch finds out by itself whether bf16 is native"
        )
        return
    have = [
        name
        for name, known in (
            ("AMX", {"amx_bf16", "amx_int8"}),
            ("AVX512_BF16", {"avx512_bf16"}),
            ("AVX512_VNNI", {"avx512_vnni"}),
            ("AVX_VNNI", {"avx_vnni"}),
            ("BF16", {"bf16"}),
            ("I8MM", {"i8mm"}),
        )
        if known & flags
    ]
    bf16 = has_bf16(flags)
    int8 = bool(flags & {"amx_int8", "avx512_vnni", "avx_vnni", "i8mm"})
    precision = "trains and serves in bf16" if bf16 else "trains and serves in fp32"
    endpoints = "endpoints with --precision int8 are faster still" if int8 else "int8 gains little"
    yield Observation(
        "processor",
        f"{platform.machine()} with {', '.join(have) or 'neither AMX, AVX512_BF16 nor VNNI'}",
        f"{precision}; {endpoints}",
        "ok" if bf16 else "note",
    )


def look_at_mounts(_around: Surroundings) -> Iterator[Observation]:
    """Whether jobs can have a private /opt/ml."""
    try:
        ended = subprocess.run(
            job_command("host.namespace"),
            env={**os.environ, **PROGRAM_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        yield Observation(
            "/opt/ml", f"could not be tried: {error}", "jobs try it again when they begin", "note"
        )
        return
    isolation = ended.stdout.strip()
    how = {
        "namespace": "mount namespaces are allowed",
        "bubblewrap": "bubblewrap (bwrap) is installed",
    }.get(isolation)
    if how is not None:
        yield Observation("/opt/ml", how, "every job sees a private /opt/ml, as on SageMaker")
        return
    yield Observation(
        "/opt/ml",
        "neither mount namespaces nor bubblewrap",
        "scripts find their folders by SM_… variables alone, those that name /opt/ml fail",
        "warning",
        "install bubblewrap (on Debian and Ubuntu: apt install bubblewrap), or allow user "
        "namespaces (sysctl kernel.unprivileged_userns_clone=1)",
    )


def look_at_open_files(_around: Surroundings) -> Iterator[Observation]:
    """How many files a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= WANTED_OPEN_FILES:
        most = "any number" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        yield Observation("open files", most, "many clients and jobs at once")
        return
    yield Observation(
        "open files",
        f"{hard:,} at most, {soft:,} by default",
        f"the service would take {WANTED_OPEN_FILES:,}: fewer clients and jobs at once",
        "note" if hard >= 1024 else "warning",
        f"raise the hard limit (ulimit -Hn {WANTED_OPEN_FILES}) before the service starts",
    )
