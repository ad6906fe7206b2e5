"""A converted network on the CPU: OpenVINO, a thread of its own for each stream."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from clary.cores import usable_cores
from clary.endpoint.runtimes.runtime import Crops, Probabilities, Stream
from clary.errors import FormatError, UsageError
from clary.formats.converted_model import (
    LOCK_FILE,
    Agreement,
    ConvertedModel,
    ConvertedPrecision,
)
from clary.formats.model_archive import ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.formats.replica import Precision

# Pictures of 224 px that go through the network at once. Few of them cost the least each: what a
# layer gives stays in the cache of the core that reads it next (docs/decisions/0023).
_TOGETHER = {"fp32": 1, "bf16": 2, "int8": 2}
# Of networks that are held twice, to answer a lone request sooner.
_MOST_WEIGHTS_BYTES = 256 << 20


class OpenVINORuntime:
    """A converted network, read but not yet compiled; `streams` compiles it.

    While it lives, the folder is not evicted from the cache.

    Args:
        folder: of the converted networks (`clary.formats.converted_model`).
        precision: "auto" is bf16 where the processor computes in it, and where the model was not
            found to answer otherwise then; else fp32.

    Raises:
        FormatError: a network is missing or damaged.
        UsageError: int8 was not calibrated, or bf16 would be emulated.
    """

    def __init__(self, folder: Path, precision: Precision) -> None:
        self._core = openvino.Core()
        self._bf16 = _in_bf16(self._core, precision, folder)
        kind: ConvertedPrecision = "int8" if precision == "int8" else "fp32"
        computed = "int8" if kind == "int8" else "bf16" if self._bf16 else "fp32"
        self.name = f"openvino {computed}"
        self._held = ExitStack()
        _hold(folder, self._held)
        converted = ConvertedModel(folder)
        # The weights lie beside the description, and int8 may be made anew just now.
        with _no_change(folder):
            self._network = self._read(converted, kind)
            self._weights_bytes = converted.network(kind).with_suffix(".bin").stat().st_size
        description = ModelDescription.read(folder)
        self.classes: tuple[str, ...] = description.classes
        self.preprocessing: Preprocessing = description.preprocessing
        self.streams_wanted = usable_cores()
        size = self.preprocessing.image_size
        self.batch_wanted = max(1, round(_TOGETHER[computed] * (224 / size) ** 2))

    def _read(self, converted: ConvertedModel, kind: ConvertedPrecision) -> Any:
        if not converted.has(kind):
            raise _missing(converted, kind)
        try:
            return self._core.read_model(converted.network(kind))
        except RuntimeError as error:
            raise FormatError(
                f"{converted.network(kind)} cannot be read ({str(error).strip()[:200]}): delete "
                "its folder, it is made again when it is needed"
            ) from error

    def streams(self, count: int) -> list[Stream]:
        """Streams for `count` threads, that share the weights. Called once."""
        compiled = self._compile(count, count)
        return [self._stream(compiled) for _ in range(count)]

    def whole(self) -> Stream | None:
        """A stream over all cores, for who is alone here; None where that is no faster.

        It has weights of its own.
        """
        if usable_cores() == 1 or self._weights_bytes > _MOST_WEIGHTS_BYTES:
            return None
        return self.over_all_cores()

    def over_all_cores(self) -> Stream:
        """A stream that computes on all cores, with weights of its own."""
        return self._stream(self._compile(1, usable_cores()))

    def _compile(self, streams: int, threads: int) -> Any:
        return self._core.compile_model(
            self._network,
            "CPU",
            {
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "bf16" if self._bf16 else "f32",
                # Pinned streams wait for their core when something else runs there.
                "ENABLE_CPU_PINNING": False,
            },
        )

    def _stream(self, compiled: Any) -> Stream:
        return OpenVINOStream(compiled.create_infer_request(), self.batch_wanted)


class OpenVINOStream:
    """One request of a compiled network, for one thread at a time."""

    def __init__(self, request: Any, together: int) -> None:
        self._request = request
        self._together = together

    def probabilities(self, crops: Crops) -> Probabilities:
        """Probabilities, float32 of shape (N, classes), for uint8 crops (N, S, S, 3)."""
        pixels = np.require(crops, np.uint8, ["C_CONTIGUOUS", "WRITEABLE"])
        if len(pixels) <= self._together:
            return self._answer(pixels)
        starts = range(0, len(pixels), self._together)
        return np.concatenate(
            [self._answer(pixels[start : start + self._together]) for start in starts]
        )

    def _answer(self, pixels: Crops) -> Probabilities:
        self._request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
        # The next one is written to the same place.
        (answers,) = self._request.infer(share_outputs=True).values()
        return np.array(answers, dtype=np.float32)


def _in_bf16(core: Any, precision: Precision, folder: Path) -> bool:
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not native:
        raise UsageError(
            "the precision is bf16 but this processor has no bf16 instructions: give auto or fp32"
        )
    if native and precision == "auto":
        found = Agreement.read(folder)
        return found is None or found.suffices
    return native and precision != "fp32"


def _hold(folder: Path, held: ExitStack) -> None:
    """Keep the cache from evicting the folder, where it lies in one, and mark it as used now."""
    path = folder.with_name(folder.name + ".lock")
    try:
        lock = path.open("rb")
    except OSError:
        return
    with suppress(OSError):
        os.utime(path)
    held.enter_context(lock)
    fcntl.flock(lock, fcntl.LOCK_SH)


@contextmanager
def _no_change(folder: Path) -> Iterator[None]:
    """Keep the networks of a folder from being replaced; it may be one that nobody writes."""
    with ExitStack() as held:
        with suppress(OSError):
            lock = held.enter_context((folder / LOCK_FILE).open("rb"))
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _missing(converted: ConvertedModel, kind: ConvertedPrecision) -> FormatError | UsageError:
    if kind == "int8":
        return UsageError(
            "the precision is int8 but the model was not calibrated on pictures: run `python -m "
            "clary.jobs.convert MODEL --precision int8 --calibrate PICTURES`"
        )
    return FormatError(
        f"{converted.folder} holds no converted network: run `python -m clary.jobs.convert MODEL`"
    )
