from __future__ import annotations

from pathlib import Path

import pytest

from clary.errors import UsageError
from clary.processor import cpu_flags, has_bf16, require_native_precision


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


def test_bf16_that_would_be_emulated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.processor.cpu_flags", lambda: {"avx512f", "avx512_vnni"})
    for precision, gpus in (("auto", 0), ("fp32", 0), ("bf16", 1)):
        require_native_precision(precision, gpus)
    with pytest.raises(UsageError, match="has no bf16 instructions: leave it out or give fp32"):
        require_native_precision("bf16", 0)
    for flags in ({"avx512_bf16"}, None):
        monkeypatch.setattr("clary.processor.cpu_flags", lambda flags=flags: flags)
        require_native_precision("bf16", 0)
