"""Looks at GPUs: what the driver shows, and whether the torch that is installed can use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from clary.gpus import Gpu, GpuDriver, describe_gpus, visible_gpus
from clary.sdk.doctor.observation import Observation, Surroundings, sized
from clary.sdk.doctor.packages import cuda_of_torch

_HIDING = "CUDA_VISIBLE_DEVICES"


def look_at_gpus(around: Surroundings) -> Iterator[Observation]:
    """Which GPUs the driver shows, and whether the torch that is installed can use them."""
    found = describe_gpus()
    answering = [gpu for gpu in found.gpus if not gpu.trouble]
    for gpu in found.gpus:
        if gpu.trouble:
            yield _broken(f"{gpu.name} does not answer ({gpu.trouble})")
    if found.trouble:
        yield _broken(f"the driver does not answer ({found.trouble})")
    elif answering:
        yield _of_torch(found, _named(answering), cuda_of_torch(), around)
    elif not found.gpus:
        yield Observation(
            "gpu",
            "none",
            "pretrained networks keep their backbone frozen by default, which is fast on a CPU",
            "note",
        )


def _named(gpus: list[Gpu]) -> str:
    """Their names, those that are alike together: `8 × NVIDIA H200 (151 GB each)`."""
    alike = Counter((gpu.name, gpu.memory_bytes) for gpu in gpus)
    return ", ".join(
        f"{name} ({sized(size)})" if count == 1 else f"{count} × {name} ({sized(size)} each)"
        for (name, size), count in alike.items()
    )


def _broken(found: str) -> Observation:
    return Observation(
        "gpu",
        found,
        "trainings and endpoints cannot use it",
        "warning",
        "restart the machine, as after an update of the driver; `nvidia-smi` says more",
    )


def _of_torch(
    found: GpuDriver, names: str, cuda: tuple[int, int] | None, around: Surroundings
) -> Observation:
    text = f"{names}; driver {found.driver}, CUDA {'.'.join(map(str, found.cuda))}"
    if cuda is None:
        return Observation(
            "gpu",
            text,
            "the torch that is installed is for CPUs only",
            "warning",
            "install a torch for CUDA, as pytorch.org shows: trainings then use the GPU",
        )
    if cuda[0] > found.cuda[0]:
        needed = ".".join(map(str, cuda))
        return Observation(
            "gpu",
            text,
            f"the torch that is installed was built for CUDA {needed}, newer than the driver",
            "warning",
            f"update the NVIDIA driver to one for CUDA {cuda[0]}, or install a torch for CUDA "
            f"{found.cuda[0]}",
        )
    if _HIDING in around.environment and not visible_gpus(around.environment):
        return Observation(
            "gpu",
            text,
            f"{_HIDING} hides it from a service that is started in this shell",
            "warning",
            f"unset {_HIDING}",
        )
    return Observation("gpu", text, "trainings and endpoints use it, in bf16 where it can")
