"""Raw tensors of a step in one file, in the layout of safetensors.

Eight bytes with the length of a JSON object, the object with dtype, shape and place of each
tensor, then their bytes. Read and written here, as numpy knows no bfloat16 and whoever reads a
log need not have the library.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.errors import FormatError
from clary.formats.tensor_log.entries import RawTensor

# The name under which the layout keeps text of its own.
RESERVED = "__metadata__"
_HEADER_LIMIT_BYTES = 100_000_000  # the layout's own bound
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


def write_tensors(path: Path, temporary: Path, tensors: Mapping[str, RawTensor]) -> None:
    """Write them beside, then put the file in its place.

    Raises:
        OSError: as the system says it; the temporary file is gone then.
    """
    header: dict[str, Any] = {}
    place = 0
    for name, tensor in tensors.items():
        size = memoryview(tensor.data).nbytes
        # What the layout has no word for lies there as bytes; the segment knows what it is.
        known = _DTYPES.get(tensor.dtype)
        header[name] = {
            "dtype": known or "U8",
            "shape": list(tensor.shape) if known else [size],
            "data_offsets": [place, place + size],
        }
        place += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    try:
        with temporary.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors.values():
                file.write(tensor.data)
        path.parent.mkdir(exist_ok=True)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_tensor(path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> RawTensor:
    """One tensor of a file, which a segment says is of that kind.

    Raises:
        FileNotFoundError: it was not copied, or somebody made space.
        FormatError: the file is damaged.
    """
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT_BYTES:
                raise ValueError(f"a header of {length} bytes")
            begin, end = json.loads(file.read(length))[name]["data_offsets"]
            file.seek(8 + length + begin)
            data = file.read(end - begin)
            if len(data) != end - begin:
                raise ValueError("it is cut off")
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise FormatError(
                f"{path} is damaged ({error}): the tensor {name} cannot be read from it"
            ) from error
    return RawTensor(dtype, shape, data)
