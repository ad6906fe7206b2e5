"""A model with its handlers: from a request to an answer, whatever happens on the way."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from clary.endpoint.accept_header import ANYTHING
from clary.endpoint.handlers import payloads
from clary.endpoint.handlers.code_folder import CodeFolder
from clary.endpoint.handlers.context import Context, RequestProcessor
from clary.endpoint.handlers.failures import BadBody, InferenceError
from clary.endpoint.handlers.functions import Handlers, load_handlers
from clary.endpoint.handlers.requests import Answer, Request

_DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_TEXT = "text/plain; charset=utf-8"
# Frames that say nothing about the script.
_NOT_SHOWN = (str(Path(__file__).resolve().parent), "<frozen importlib")
# Errors of SageMaker's own toolkit, where a script's requirements bring it, and their statuses.
_TOOLKIT_ERROR = "BaseInferenceToolkitError"
_TOOLKIT_STATUSES = {"UnsupportedFormatError": 415}


class LoadedModel:
    """One model folder. Used by one thread, for one request at a time.

    A model that could not be loaded is tried anew with each request.
    """

    def __init__(self, folder: str, environment: Mapping[str, str], gpu: int | None) -> None:
        self.folder = folder
        self._environment = environment
        self._context = Context(Path(folder).name, folder, gpu)
        self._code = CodeFolder.of(folder, environment)
        self._served: tuple[Handlers, Any] | None = None

    def enter(self) -> None:
        """Have `import` find this model's code; to be called before anything else is."""
        self._code.enter()

    def leave(self) -> None:
        """Put this model's code away until `enter` is called again."""
        self._code.leave()

    def prepare(self) -> str | None:
        """Load the model, and say what keeps it from that; None where nothing does."""
        try:
            self._load()
        except BaseException as error:  # noqa: BLE001 - whatever a script raises
            _complain(f"the model in {self.folder} is not loaded, requests will try again", error)
            return f"{type(error).__name__}: {error}"
        return None

    def answer(self, request: Request) -> Answer:
        """Answer a request; what a handler raises is an answer, too."""
        began = perf_counter_ns()
        accept = request.accept.strip()
        if accept in {"", ANYTHING}:
            accept = self._environment.get(_DEFAULT_ACCEPT, "").strip() or payloads.JSON
        content_type = request.content_type or payloads.OCTET_STREAM
        processor = self._context.begin(request.request_id, _fields(request, content_type, accept))
        try:
            handlers, model = self._load()
            given = _body(request.body, content_type)
            result = handlers.transform(self._context, model, given, content_type, accept)
            body, answered = _written(result, accept, processor)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises
            _complain(f"request {request.request_id} failed", error)
            status, text = _failure(error)
            return Answer(status, text.encode("utf-8", "backslashreplace"), _TEXT, {}, _us(began))
        headers = {
            name: value
            for name, value in processor.get_response_header().items()
            if name.lower() != "content-type"
        }
        status = processor.get_response_status_code()
        if not 200 <= status <= 599:
            status = 500
        return Answer(status, body, answered, headers, _us(began))

    def _load(self) -> tuple[Handlers, Any]:
        if self._served is None:
            handlers = load_handlers(self._code)
            self._served = handlers, handlers.load(self._context, self.folder)
        return self._served


def _fields(request: Request, content_type: str, accept: str) -> dict[str, str]:
    fields = {"Content-Type": content_type, "Accept": accept, "X-Request-Id": request.request_id}
    if request.custom_attributes:
        fields[_ATTRIBUTES] = request.custom_attributes
    return fields


def _body(body: bytes, content_type: str) -> bytes | str:
    """JSON and CSV as text, where the type is said without more, as SageMaker's toolkit does."""
    if content_type not in payloads.UTF8_TYPES:
        return body
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(f"the body is no {content_type} in UTF-8: {error}") from error


def _written(result: Any, accept: str, processor: RequestProcessor) -> tuple[bytes, str]:
    """The bytes of an answer, and their type: as the handler says, else as was asked for."""
    said = processor.get_response_header().get("content-type")
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], str):
        result, said = result
    if said is None:
        asked = (kind for kind in payloads.accepted(accept) if "*" not in kind)
        said = accept if "," not in accept and "*" not in accept else next(asked, payloads.JSON)
    if isinstance(result, str):
        return result.encode("utf-8"), said
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(result), said
    text = payloads.encode(result, payloads.JSON)
    assert isinstance(text, str)
    return text.encode("utf-8"), said


def _failure(error: BaseException) -> tuple[int, str]:
    """The status and the text that an exception is answered with."""
    names = {kind.__name__ for kind in type(error).__mro__}
    status, message = 500, str(error)
    if isinstance(error, InferenceError) or _TOOLKIT_ERROR in names:
        status = int(getattr(error, "status_code", status))
        message = str(getattr(error, "message", message))
    for name in names & set(_TOOLKIT_STATUSES):
        status = _TOOLKIT_STATUSES[name]
    if not 400 <= status <= 599:
        status = 500
    trace = _below(error.__traceback__)
    if trace is None and isinstance(error, InferenceError):
        return status, message
    error.__traceback__ = trace
    return status, f"{message}\n{''.join(traceback.format_exception(error))}"


def _below(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is the script's; None where there is none."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_NOT_SHOWN):
        trace = trace.tb_next
    return trace


def _complain(what: str, error: BaseException) -> None:
    lines = traceback.format_exception(type(error), error, _below(error.__traceback__))
    sys.stderr.write(f"{what}:\n{''.join(lines)}")
    sys.stderr.flush()


def _us(began: int) -> int:
    return (perf_counter_ns() - began) // 1000
