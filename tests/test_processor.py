from __future__ import annotations

from pathlib import Path

import pytest

from clary.processor import cpu_flags, has_bf16


def test_features_are_read_as_each_kernel_lists_them(tmp_path: Path) -> None:
    (tmp_path / "x86").write_text("processor : 0\nflags\t\t: fpu amx_bf16 avx512_vnni\n")
    (tmp_path / "arm").write_text("Features\t: fp asimd bf16 i8mm\n")
    assert cpu_flags(tmp_path / "x86") == {"fpu", "amx_bf16", "avx512_vnni"}
    assert cpu_flags(tmp_path / "arm") == {"fp", "asimd", "bf16", "i8mm"}
    assert cpu_flags(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ({"avx512f", "avx512bw", "avx512_vnni"}, False),
        ({"avx512f", "avx512_bf16"}, True),
        ({"amx_bf16", "amx_tile"}, True),
        ({"asimd", "bf16"}, True),
        (set(), False),
    ],
)
def test_bf16_takes_instructions_of_its_own(flags: set[str], native: bool) -> None:
    assert has_bf16(flags) is native
