"""The context that handlers may take: what they ask of their request and say of their answer.

The methods and names are those of the model servers in SageMaker's containers. There is one
request at a time here, so its index, where one is asked for, is always 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Headers(dict[str, str]):
    """Header fields, found whatever the case of their names."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        for name, value in (fields or {}).items():
            self[name] = value

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(self._names.setdefault(name.lower(), name), value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(self._names.get(name.lower(), name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._names

    def get(self, name: str, default: Any = None) -> Any:
        """The field's value."""
        return super().get(self._names.get(name.lower(), name), default)


class RequestProcessor:
    """One request's fields, and what is said of its answer."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._asked = Headers(fields)
        self._answered = Headers()
        self._status: int | None = None
        self._phrase: str | None = None

    def get_request_property(self, key: str) -> str | None:
        """A field of the request."""
        value: str | None = self._asked.get(key)
        return value

    def get_request_properties(self) -> Headers:
        """All fields of the request."""
        return self._asked

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        """Set the status of the answer."""
        self._status, self._phrase = int(code), reason_phrase

    def get_response_status_code(self) -> int:
        """The status of the answer."""
        return 200 if self._status is None else self._status

    def get_response_status_phrase(self) -> str | None:
        """What was said beside the status."""
        return self._phrase

    def add_response_property(self, key: str, value: str) -> None:
        """Set a field of the answer."""
        self._answered[key] = str(value)

    def get_response_header(self) -> Headers:
        """The fields of the answer."""
        return self._answered

    get_response_headers = get_response_header


class Context:
    """What a handler gets behind its arguments; one for each model, its request ever another."""

    def __init__(self, model_name: str, model_dir: str, gpu: int | None) -> None:
        self.model_name = model_name
        self.manifest: dict[str, Any] = {}
        self.explain = False
        self.metrics = None
        self._system_properties = {
            "model_dir": model_dir,
            "gpu_id": gpu,
            "batch_size": 1,
            "server_name": "Clary",
            "server_version": _version(),
        }
        self.request_processor = [RequestProcessor({})]
        self.request_ids = {0: ""}

    @property
    def system_properties(self) -> dict[str, Any]:
        """Where the model lies, on which GPU, and who serves it."""
        return self._system_properties

    def begin(self, request_id: str, fields: Mapping[str, str]) -> RequestProcessor:
        """Turn to the next request."""
        self.request_ids = {0: request_id}
        self.request_processor = [RequestProcessor(fields)]
        return self.request_processor[0]

    def get_request_id(self, idx: int = 0) -> str | None:
        """The request's id."""
        return self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:
        """A field of the request, such as `Content-Type`."""
        return self.request_processor[idx].get_request_property(key)

    def get_all_request_header(self, idx: int = 0) -> Headers:
        """All fields of the request."""
        return self.request_processor[idx].get_request_properties()

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Say what the answer is."""
        self.request_processor[idx].add_response_property("content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        """What the answer was said to be."""
        return self.request_processor[idx].get_response_header().get("content-type")  # type: ignore[no-any-return]

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Set a field of the answer."""
        self.request_processor[idx].add_response_property(key, value)

    def get_response_headers(self, idx: int) -> Headers:
        """The fields of the answer."""
        return self.request_processor[idx].get_response_header()

    def set_response_status(self, code: int = 200, phrase: str | None = None, idx: int = 0) -> None:
        """Set the status of the answer."""
        self.request_processor[idx].report_status(code, phrase)

    def set_all_response_status(self, code: int = 200, phrase: str | None = None) -> None:
        """Set the status of all answers, of which there is one."""
        for processor in self.request_processor:
            processor.report_status(code, phrase)

    def get_response_status(self, idx: int = 0) -> tuple[int, str | None]:
        """The status of the answer, and what was said beside it."""
        processor = self.request_processor[idx]
        return processor.get_response_status_code(), processor.get_response_status_phrase()


def _version() -> str:
    from clary import __version__

    return __version__
