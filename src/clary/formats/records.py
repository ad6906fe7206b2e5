"""Records: JSON files of Clary's own that say the version of their format, read by a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from clary.errors import FormatError
from clary.formats.files import read_versioned_json

_Record = TypeVar("_Record", bound=BaseModel)


def read_record(
    kind: type[_Record],
    path: Path,
    version: int,
    what: str,
    *,
    remedy: str = "",
    key: str = "version",
) -> _Record:
    """Read a record.

    Args:
        kind: its model.
        path: the file.
        version: the latest that this Clary reads.
        what: it ought to be, with its article.
        remedy: for one that is something else.
        key: where it says its version.

    Raises:
        FormatError: it is missing or something else, or of a later version.
    """
    return as_record(kind, read_versioned_json(path, version, key), path, what, remedy=remedy)


def as_record(
    kind: type[_Record], content: Mapping[str, Any], path: Path, what: str, *, remedy: str = ""
) -> _Record:
    """A record of what a file holds; the arguments are `read_record`'s.

    Raises:
        FormatError: it is something else; the sentence names the first key that does not fit.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(one) for one in wrong["loc"])
        reason = f"{where}: {wrong['msg']}" if where else wrong["msg"]
        after = f": {remedy}" if remedy else ""
        raise FormatError(f"{path} is not {what} ({reason}){after}") from error
