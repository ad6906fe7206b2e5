"""The processes of one training, as `torchrun` starts them; one alone when it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is. Collective methods must be called by all of them."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Processes:
        """Read what `torchrun` sets."""
        environment = os.environ if environment is None else environment
        return cls(
            rank=int(environment.get("RANK", "0")),
            world_size=int(environment.get("WORLD_SIZE", "1")),
            local_rank=int(environment.get("LOCAL_RANK", "0")),
        )

    @property
    def main(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """Join the process group (nccl on GPUs, gloo elsewhere) while the block runs."""
        if self.world_size == 1 or torch.distributed.is_initialized():
            yield
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # Long, because the others wait while the first process computes features for all.
        torch.distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", timeout=timedelta(days=7)
        )
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()

    def add_up(self, values: torch.Tensor) -> torch.Tensor:
        """The element-wise sum over all processes."""
        if self.world_size > 1:
            torch.distributed.all_reduce(values)
        return values

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process."""
        if self.world_size == 1:
            return flag
        return bool(self.add_up(torch.tensor(float(flag), device=device)).item())

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.world_size > 1:
            torch.distributed.barrier()
