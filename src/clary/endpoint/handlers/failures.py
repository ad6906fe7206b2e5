"""Errors in handlers that say with which status they are answered.

    InferenceError              any status
    ├── BadBody                 400     the body is not what its type says
    └── UnsupportedFormat       415     a type of body that the defaults do not read
        └── UnacceptableFormat  406     a type of answer that they do not write

Every other exception in a handler is answered with 500. Scripts see the first and the third as
`BaseInferenceToolkitError` and `UnsupportedFormatError` of `sagemaker_inference.errors`.
"""

from __future__ import annotations


class InferenceError(Exception):
    """An error with the status, and the text, that it is answered with.

    `phrase` is what an HTTP answer may say beside its status.
    """

    def __init__(self, status_code: int, message: str, phrase: str = "") -> None:
        super().__init__(status_code, message, phrase or message)
        self.status_code = status_code
        self.message = message
        self.phrase = phrase or message

    def __str__(self) -> str:
        return self.message


class BadBody(InferenceError):
    """The body is not what its content type says."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class UnsupportedFormat(InferenceError):
    """Bodies of this type are not read without an `input_fn`."""

    def __init__(self, content_type: str, status_code: int = 415, remedy: str = "input_fn") -> None:
        super().__init__(
            status_code,
            f"Content type {content_type} is not supported by this framework: give the script an "
            f"{remedy}, or choose application/json, text/csv or application/x-npy",
        )


class UnacceptableFormat(UnsupportedFormat):
    """Answers of this type are not written without an `output_fn`."""

    def __init__(self, accept: str) -> None:
        super().__init__(accept, 406, "output_fn")
