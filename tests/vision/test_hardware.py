"""What a training computes on, as its log and its report name it."""

from __future__ import annotations

import pytest
import torch

from clary.errors import UsageError
from clary.vision.hardware import choose_hardware


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which has a name")
@pytest.mark.parametrize(("threads", "name"), [(1, "CPU, 1 thread"), (2, "CPU, 2 threads")])
def test_a_processor_is_named_by_its_threads(threads: int, name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert choose_hardware("fp32").name == name
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, whose precision counts")
def test_bf16_is_never_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    # Torch takes every processor with AVX-512 for one that has bf16.
    flags = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}
    monkeypatch.setattr("clary.processor.cpu_flags", lambda: flags)
    assert not choose_hardware("auto").bf16
    with pytest.raises(UsageError, match="has no bf16 instructions"):
        choose_hardware("bf16")
