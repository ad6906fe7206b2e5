"""Writes a module as ONNX, OpenVINO or TorchScript, and runs what was written.

Each `write_*` gives the file's own runner: uint8 (N, H, W, 3) in, probabilities (N, classes) out.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clary.errors import ExportError
from clary.formats.preprocessing import Preprocessing
from clary.vision.export.graph import (
    CropsToProbabilities,
    ExportedResizeCrop,
    PixelsToProbabilities,
    ResizeCrop,
)

Runner = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
INPUT, OUTPUT = "images", "probabilities"


@dataclass(frozen=True)
class Network:
    """What is exported: from crops to probabilities, and how pictures become crops."""

    scores: CropsToProbabilities
    preprocessing: Preprocessing


def write_onnx(network: Network, about: Mapping[str, str], path: Path) -> Runner:
    """Write one `.onnx` file with `about` as its metadata.

    Raises:
        ExportError: onnx, onnxscript or onnxruntime are not installed, or torch cannot express
            the network.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f'exporting to ONNX needs {error.name}: pip install "clary[onnx]"'
        ) from error
    example = _example(2, 61, 83)
    module = PixelsToProbabilities(ExportedResizeCrop(network.preprocessing), network.scores)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: "batch", 1: "height", 2: "width"},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(about)
    program.save(str(path), external_data=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run([OUTPUT], {INPUT: images})[0], dtype=np.float32)


def write_torchscript(network: Network, about: Mapping[str, str], path: Path) -> Runner:
    """Write one `.pt` file for `torch.jit.load`, `about` as its extra files."""
    scripted = _scripted(network)
    with _quiet():
        torch.jit.save(scripted, str(path), _extra_files=dict(about))
        loaded = torch.jit.load(str(path))  # type: ignore[no-untyped-call]

    def run(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            probabilities: npt.NDArray[np.float32] = loaded(torch.from_numpy(images)).numpy()
        return probabilities

    return run


def write_openvino(network: Network, about: Mapping[str, str], path: Path) -> Runner:
    """Write an `.xml` and a `.bin` beside it, in fp32, with `about` as its runtime information."""
    import openvino

    with _quiet():
        model = openvino.convert_model(_scripted(network))
    source, result = model.inputs[0], model.outputs[0]
    source.get_node().set_element_type(openvino.Type.u8)
    source.get_node().set_partial_shape(openvino.PartialShape([-1, -1, -1, 3]))
    source.get_tensor().set_names({INPUT})
    result.get_tensor().set_names({OUTPUT})
    model.validate_nodes_and_infer_types()
    for key, value in about.items():
        model.set_rt_info(value, ["clary", key])
    openvino.save_model(model, str(path), compress_to_fp16=False)
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.asarray(compiled(images)[0], dtype=np.float32)


def about_model(
    classes: tuple[str, ...], preprocessing: Preprocessing, version: str
) -> dict[str, str]:
    """What travels inside the exported file: text by name."""
    return {
        "classes": json.dumps(classes, ensure_ascii=False),
        "preprocessing": preprocessing.model_dump_json(),
        "input": "images: uint8 RGB pixels of shape (batch, height, width, 3), any size",
        "output": "probabilities: float32 of shape (batch, classes)",
        "producer": f"clary {version}",
    }


def _scripted(network: Network) -> Any:
    # The network is traced, since few of timm's can be compiled as a script; the resize is
    # compiled, since a trace would fix the picture's size.
    size = network.preprocessing.image_size
    with _quiet(), torch.no_grad():
        scores = torch.jit.trace(  # type: ignore[no-untyped-call]
            network.scores, torch.zeros(2, 3, size, size), check_trace=False
        )
        module = PixelsToProbabilities(ResizeCrop(network.preprocessing), scores)
        return torch.jit.script(module.eval())


def _example(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


@contextmanager
def _quiet() -> Iterator[None]:
    # torch.jit is deprecated but is what TorchScript means; the exporter logs its own progress.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
