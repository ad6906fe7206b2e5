"""The user's scripts: from `sagemaker_submit_directory` into `code/`."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.service.executors.objects import Asking, object_file

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore


def bring_code(store: ObjectStore, uri: str, job: Asking, folder: Path) -> None:
    """Unpack the archive, or copy the folder, that a job's code is.

    Args:
        store: the buckets.
        uri: `s3://…/sourcedir.tar.gz`, `file://…` or a path; an archive or, on the disk, a folder.
        job: whose code it is.
        folder: where it goes; what was there goes first.

    Raises:
        ClaryError: it is missing or damaged, or holds what would leave the folder.
    """
    source = object_file(store, uri, job) if uri.startswith("s3://") else _local(uri)
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    if source.is_dir():
        with storage_errors(folder):
            shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
        return
    try:
        with tarfile.open(source, mode="r:*") as tar:
            tar.extractall(folder, filter="data")
    except FileNotFoundError as error:
        raise ClaryError(f"the source code {uri} does not exist: upload it again") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ClaryError(
            f"the source code {uri} cannot be unpacked ({error}): pack it again as .tar.gz"
        ) from error


def require_program(folder: Path, program: str) -> None:
    """Make sure that the entry point is there.

    Raises:
        ClaryError: it is not.
    """
    if (folder / program).is_file() or (folder / "setup.py").is_file():
        return
    present = ", ".join(sorted(entry.name for entry in os.scandir(folder))[:20]) or "nothing"
    raise ClaryError(
        f"the entry point {program} is not in the source code, which holds {present}: "
        "check entry_point and source_dir"
    )


def _local(uri: str) -> Path:
    path = unquote(urlsplit(uri).path) if uri.startswith("file://") else uri
    return Path(path)
