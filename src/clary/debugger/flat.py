"""A tensor's elements in the order in which they lie in memory, without a copy where that goes."""

from __future__ import annotations

import torch
from torch import Tensor

# A cache line of float32 at a time, so that an evenly spread sample reads little memory.
RUN = 16
RUNS = 4096
SAMPLE = RUN * RUNS


def flat(tensor: Tensor) -> Tensor:
    """All elements (n), in any order: statistics do not depend on it.

    Tensors without gaps, `channels_last` ones too, are viewed; others are copied.
    """
    tensor = tensor.detach()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_contiguous():
        return tensor.view(-1)
    if _without_gaps(tensor):
        return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())
    return tensor.reshape(-1)


def sample_of(elements: Tensor) -> Tensor:
    """A view of at most 65,536 elements that are evenly spread over all (n).

    Larger tensors give 4,096 runs of 16 neighbours, shape (4096, 16).
    """
    count = elements.numel()
    if count <= SAMPLE:
        return elements
    return elements.as_strided((RUNS, RUN), (count // RUNS, 1), elements.storage_offset())


def _without_gaps(tensor: Tensor) -> bool:
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True
