"""What scripts import by name from SageMaker's inference toolkits, as far as it is more than data.

`clary.shims.serving` offers it under those names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.endpoint.handlers import payloads, pytorch
from clary.endpoint.handlers.failures import InferenceError


class ClientError(Exception):
    """An error of the toolkit's own; answered with 500 as any other."""


class GenericInferenceToolkitError(InferenceError):
    """An error with any status."""

    def __init__(
        self, status_code: int, message: str | None = None, phrase: str | None = None
    ) -> None:
        said = message or "Invalid Request"
        super().__init__(status_code, said, phrase or said)


class DefaultInferenceHandler:
    """The defaults that know no framework; loading and predicting are for a derived class."""

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        """Load the model of a folder.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("Please provide a model_fn implementation.")

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        """The array of a body."""
        return payloads.decode(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        """What the model makes of the data.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("Please provide a predict_fn implementation.")

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        """The body of the answer, and its type."""
        kind = payloads.chosen(accept)
        return payloads.encode(prediction, kind), kind


class DefaultPytorchInferenceHandler(DefaultInferenceHandler):
    """The defaults of the PyTorch container: TorchScript models, and tensors."""

    VALID_CONTENT_TYPES = (payloads.JSON, payloads.NPY)

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        """Load the TorchScript model of a folder."""
        return pytorch.model_fn(model_dir)

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        """The tensor of a body."""
        return pytorch.input_fn(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        """What the model makes of a tensor, without gradients."""
        return pytorch.predict_fn(data, model)

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        """The body of the answer, without its type."""
        return pytorch.output_fn(prediction, accept)[0]


def read_file(path: str, mode: str = "r") -> str | bytes:
    """The content of a file: text, or bytes where the mode says so."""
    return Path(path).read_bytes() if "b" in mode else Path(path).read_text(encoding="utf-8")


def write_file(path: str, data: Any, mode: str = "w") -> None:
    """Write a file, or on at its end."""
    with Path(path).open(mode) as file:
        file.write(data)


def parse_accept(accept: str) -> list[str]:
    """The types of an Accept header, the most wanted first."""
    return list(payloads.accepted(accept))


def retrieve_content_type_header(request_property: Mapping[str, str]) -> str | None:
    """The content type among a request's fields, however its name is written."""
    names = {"content-type", "contenttype"}
    return next((value for name, value in request_property.items() if name.lower() in names), None)
