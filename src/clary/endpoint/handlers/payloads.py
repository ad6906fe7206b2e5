"""Arrays from bodies and to bodies, as the toolkit in SageMaker's containers has them.

| type              | a body becomes                        | an answer becomes              |
|-------------------|---------------------------------------|--------------------------------|
| application/json  | the array of its nested lists         | lists; arrays inside them, too |
| text/csv          | the array of its rows                 | a row for each first index     |
| application/x-npy | the array; never one of objects       | an array                       |
| application/x-npz | a sparse matrix, where scipy is there | a sparse matrix                |

A pickle is never loaded: what comes over the network must not be run.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from typing import Any
from zipfile import BadZipFile

from clary.endpoint.accept_header import parse_accept
from clary.endpoint.handlers.failures import BadBody, UnacceptableFormat, UnsupportedFormat

JSON = "application/json"
CSV = "text/csv"
OCTET_STREAM = "application/octet-stream"
NPY = "application/x-npy"
NPZ = "application/x-npz"
UTF8_TYPES = (JSON, CSV)
WRITTEN = (JSON, CSV, NPY, NPZ)
# What the readers raise for a body that is not what it says, or says that it holds terabytes.
_UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError, SyntaxError, RuntimeError),
    *(MemoryError, EOFError, OSError, BadZipFile, zlib.error),
)


def media_type(text: str | None) -> str:
    """The type without its parameters, in lower case."""
    return (text or "").partition(";")[0].strip().lower()


def decode(body: Any, content_type: str | None, dtype: Any = None) -> Any:
    """The array of a body, or the sparse matrix of an npz.

    Args:
        body: bytes, or the text of JSON and CSV.
        content_type: what it is.
        dtype: of the array; that of the values when None.

    Raises:
        UnsupportedFormat: it is of another type.
        BadBody: it is not what its type says.
    """
    kind = media_type(content_type)
    readers = {JSON: _from_json, CSV: _from_csv, NPY: _from_npy, NPZ: _from_npz}
    if kind not in readers:
        raise UnsupportedFormat(str(content_type))
    try:
        return readers[kind](body, dtype)
    except _UNREADABLE as error:
        raise BadBody(f"the body is no {kind} that makes an array: {error}") from error


def encode(value: Any, content_type: str) -> bytes | str:
    """The body of an answer: text for JSON and CSV, bytes for the others.

    Raises:
        UnacceptableFormat: it is of another type.
    """
    kind = media_type(content_type)
    if kind == JSON:
        return json.dumps(value, default=_plain)
    if kind not in WRITTEN:
        raise UnacceptableFormat(content_type)
    if kind == NPZ:
        from scipy import sparse  # type: ignore[import-untyped]

        buffer = io.BytesIO()
        sparse.save_npz(buffer, value)
        return buffer.getvalue()
    import numpy

    if kind == CSV:
        text = io.StringIO()
        numpy.savetxt(text, numpy.atleast_1d(numpy.asarray(value)), delimiter=",", fmt="%s")
        return text.getvalue()
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.asarray(value), allow_pickle=False)
    return buffer.getvalue()


def accepted(accept: str) -> Iterator[str]:
    """The types of an Accept header, the most wanted first; those that are refused are left out."""
    wanted = [wish for wish in parse_accept(accept) if wish.quality > 0]
    return (wish.kind for wish in sorted(wanted, key=lambda wish: -wish.quality))


def chosen(accept: str, default: str = JSON) -> str:
    """What to answer with, of the types that can be written here.

    Raises:
        UnacceptableFormat: none of the types that are asked for can be.
    """
    for kind in accepted(accept):
        if kind in WRITTEN:
            return kind
        family, _, rest = kind.partition("/")
        if rest == "*":
            written = (default, *WRITTEN)
            found = next((each for each in written if each.startswith(f"{family}/")), None)
            if family == "*" or found is not None:
                return default if family == "*" else str(found)
    raise UnacceptableFormat(accept)


def _from_json(body: Any, dtype: Any) -> Any:
    import numpy

    return numpy.array(json.loads(body), dtype=dtype)


def _from_csv(body: Any, dtype: Any) -> Any:
    import numpy

    text = body if isinstance(body, str) else bytes(body).decode("utf-8")
    if not text.strip():
        raise ValueError("it is empty")
    return numpy.genfromtxt(io.StringIO(text), dtype=dtype, delimiter=",")


def _from_npy(body: Any, _dtype: Any) -> Any:
    import numpy

    # Not numpy.load, which opens zip files of arrays as well.
    return numpy.lib.format.read_array(io.BytesIO(body), allow_pickle=False)


def _from_npz(body: Any, _dtype: Any) -> Any:
    try:
        from scipy import sparse
    except ImportError as error:
        raise UnsupportedFormat(NPZ) from error
    return sparse.load_npz(io.BytesIO(body))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: have output_fn make a list")
