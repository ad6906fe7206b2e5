"""What the processor can do, as the kernel lists it; torch is never loaded here."""

from __future__ import annotations

from pathlib import Path

from clary.errors import UsageError

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
    """Whether a processor with these features has instructions for bf16."""
    return bool(flags & _BF16)


def emulates_bf16() -> bool:
    """Whether the kernel lists what this processor can do, and bf16 is not among it.

    Libraries still compute in it there, many times slower than in fp32.
    """
    flags = cpu_flags()
    return flags is not None and not has_bf16(flags)


def lacks_bf16(device: str) -> UsageError:
    """What is told where bf16 is asked for and would be emulated.

    Args:
        device: the name of what would compute.
    """
    return UsageError(
        f"--precision is bf16 but this machine ({device}) has no bf16 instructions: leave it out "
        "or give fp32"
    )


def require_native_precision(precision: str, gpus: int) -> None:
    """Be sure that a training on this machine can have a precision.

    Args:
        precision: auto, bf16 or fp32.
        gpus: of this machine: a training takes one where there is one.

    Raises:
        UsageError: it is bf16, which would be emulated.
    """
    if precision == "bf16" and not gpus and emulates_bf16():
        raise lacks_bf16("CPU")
