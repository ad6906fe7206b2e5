"""Chooses what runs a model on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from clary.endpoint.runtimes.runtime import Runtime
from clary.errors import FormatError
from clary.formats.replica import ReplicaSettings
from clary.gpus import has_visible_gpu


def open_runtime(settings: ReplicaSettings, model: Path | None = None) -> Runtime:
    """Load the model of a replica: on a GPU where there is one, else by OpenVINO on the CPU.

    int8 is always OpenVINO's.

    Args:
        settings: the replica's.
        model: the model folder, where it is another than `settings.model`.

    Raises:
        FormatError: the model, or its converted network, is missing, damaged, or of a later
            version.
        ModelError: the weights don't fit the architecture.
        UsageError: the precision is none of this machine or of this model.
    """
    if settings.precision != "int8" and has_visible_gpu(os.environ):
        # Torch takes seconds to import, and is what computes there.
        from clary.endpoint.runtimes.torch_runtime import TorchRuntime

        return TorchRuntime(
            Path(model or settings.model), settings.precision, max_batch=settings.max_batch
        )
    from clary.endpoint.runtimes.openvino_runtime import OpenVINORuntime

    if settings.converted is None:
        raise FormatError(
            f"{settings.model} has not been converted: `python -m clary.jobs.convert "
            f"{settings.model}` does it"
        )
    return OpenVINORuntime(Path(settings.converted), settings.precision)
