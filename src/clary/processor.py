"""What the processor can do, as the kernel lists it; torch is never loaded here."""

from __future__ import annotations

from pathlib import Path

CPU_FILE = Path("/proc/cpuinfo")
# Of x86 two kinds, of ARM one.
_BF16 = {"amx_bf16", "avx512_bf16", "bf16"}


def cpu_flags(file: Path = CPU_FILE) -> set[str] | None:
    """The names of the processor's features; None where the kernel does not list them."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return set(value.split())
    return None


def has_bf16(flags: set[str]) -> bool:
    """Whether a processor with these features has instructions for bf16.

    Without them libraries still compute in it, many times slower than in fp32.
    """
    return bool(flags & _BF16)
