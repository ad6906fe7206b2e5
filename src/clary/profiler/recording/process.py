"""What a process that trains says of itself."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from clary.cores import usable_cores

# Its place among the fields of /proc/<pid>/stat behind the name of the program.
_START_TIME = 19


def worker_name() -> str:
    """`worker_<rank>`: as torch.distributed says it, else torchrun; 0 for a process alone.

    Hosts of one job that train each for itself are told apart by their place.
    """
    torch = sys.modules.get("torch")
    distributed = None if torch is None else torch.distributed
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return f"worker_{distributed.get_rank()}"
    rank = os.environ.get("RANK", "")
    return f"worker_{rank if rank.isdecimal() else _place_of_host()}"


def _place_of_host() -> int:
    try:
        return int(json.loads(os.environ["SM_HOSTS"]).index(os.environ["SM_CURRENT_HOST"]))
    except (KeyError, ValueError, AttributeError):
        return 0


def started_ns() -> int | None:
    """When this process began, of `time.perf_counter_ns`; None where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began_s = int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return perf_counter_ns() - int(age_s * 1e9)


def process_facts() -> dict[str, Any]:
    """Fields of `Facts` that are known before the first step."""
    facts: dict[str, Any] = {"cores": usable_cores(), "program": program()}
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["framework"] = f"torch {torch.__version__}"
        facts["threads"] = int(torch.get_num_threads())
    return facts


def program() -> str:
    """What is run, as a person would type it."""
    script = sys.argv[0] if sys.argv else ""
    return shlex.join(["python", *([script] if script else []), *sys.argv[1:]])


def device_name(device: Any) -> str:
    """`cpu`, or such as `cuda:0 NVIDIA H200`."""
    if device.type != "cuda":
        return str(device)
    torch = sys.modules["torch"]
    index = torch.cuda.current_device() if device.index is None else device.index
    return f"cuda:{index} {torch.cuda.get_device_name(index)}"


_MULTIPLYING = ("AddmmBackward", "ConvolutionBackward", "MmBackward", "BmmBackward")
# Deep enough for what stands between a loss and the layer that made it, such as a list of losses.
_NODES = 1000
_PRECISIONS = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}


def precision_of(loss: Any) -> str:
    """In what the last layers before a loss multiply: `fp32`, `bf16`, …; empty where unknown.

    The graph is asked for what a node gave, never for the tensors it saved: to read one of those
    unpacks it, which computes it again, brings it back, or takes it from whoever comes second.
    """
    waiting = [getattr(loss, "grad_fn", None)]
    for _ in range(_NODES):
        if not waiting:
            break
        node = waiting.pop(0)
        if node is None:
            continue
        if node.name().startswith(_MULTIPLYING):
            given = getattr(node, "_input_metadata", None)
            if given:
                text = str(given[0].dtype)
                return _PRECISIONS.get(text, text.removeprefix("torch."))
        waiting += [below for below, _ in node.next_functions]
    return ""
