"""What SageMaker's PyTorch container does where a script says nothing.

torch is imported by name, when it is needed: a script may do without.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from clary.endpoint.handlers import payloads
from clary.endpoint.handlers.failures import BadBody, InferenceError, UnsupportedFormat

MODEL_FILE = "model.pt"
_ENDINGS = frozenset({".pt", ".pth"})


def torch() -> Any:
    """The module, untyped."""
    return importlib.import_module("torch")


def device() -> Any:
    """The GPU where there is one."""
    return torch().device("cuda" if torch().cuda.is_available() else "cpu")


def model_fn(model_dir: str) -> Any:
    """Load a TorchScript model: `model.pt`, or the only file that ends in .pt or .pth.

    Raises:
        ValueError: there is no such file, or there are several.
        InferenceError: it is no TorchScript.
    """
    folder = Path(model_dir)
    path = folder / MODEL_FILE
    if not path.exists():
        found = sorted(
            file.name for file in folder.iterdir() if file.is_file() and file.suffix in _ENDINGS
        )
        if len(found) != 1:
            raise ValueError(
                f"Exactly one .pth or .pt file is required for PyTorch models: {found}. "
                "Please provide a model_fn implementation, in code/inference.py or the script "
                "that SAGEMAKER_PROGRAM names"
            )
        path = folder / found[0]
    try:
        return torch().jit.load(str(path), map_location=device())
    except RuntimeError as error:
        raise InferenceError(
            500,
            f"Failed to load {path}. Please ensure model is saved using torchscript, or provide a "
            f"model_fn implementation: {str(error).splitlines()[0]}",
        ) from error


def input_fn(body: Any, content_type: str | None) -> Any:
    """A tensor of a body: float32 from JSON and CSV, of its own type from npy.

    Raises:
        UnsupportedFormat: the body is of another type.
        BadBody: it is not what its type says.
    """
    kind = payloads.media_type(content_type)
    if kind == payloads.NPZ:
        raise UnsupportedFormat(str(content_type))
    dtype = "float32" if kind in payloads.UTF8_TYPES else None
    array = payloads.decode(body, content_type, dtype)
    try:
        return torch().from_numpy(array).to(device())
    except (TypeError, ValueError) as error:
        raise BadBody(f"the body holds an array that torch cannot take: {error}") from error


def predict_fn(data: Any, model: Any) -> Any:
    """What the model makes of a tensor, without gradients."""
    with torch().no_grad():
        model = model.to(device())
        model.eval()
        return model(data.to(device()))


def output_fn(prediction: Any, accept: str) -> tuple[bytes | str, str]:
    """The prediction as the accepted type, and which that is.

    Raises:
        UnacceptableFormat: no type that is accepted can be written.
    """
    kind = payloads.chosen(accept)
    return payloads.encode(plain(prediction), kind), kind


def plain(value: Any) -> Any:
    """A tensor as lists of numbers, tensors in lists and dictionaries, too."""
    loaded: Any = sys.modules.get("torch")
    if loaded is not None and isinstance(value, loaded.Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, dict):
        return {name: plain(inside) for name, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inside) for inside in value]
    return value
