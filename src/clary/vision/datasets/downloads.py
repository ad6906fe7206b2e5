"""Fetching a large file: resumed after a cut, checked, and in place only when whole."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from clary import __version__
from clary.errors import DownloadError
from clary.formats.files import storage_errors, write_json
from clary.vision.caching import locked
from clary.vision.datasets.dataset import Progress
from clary.vision.datasets.listing import readable

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0
# Attempts in a row that bring no byte.
_FRUITLESS_ATTEMPTS = 3


@dataclass(frozen=True)
class RemoteFile:
    """A file on the web and what is known of it. `what` names it in a sentence."""

    what: str
    url: str
    file_name: str
    size: int
    sha256: str | None = None


class _NotThereError(Exception):
    """The server answered that it will not give the file; asking again is no use."""


def fetch(
    remote: RemoteFile,
    folder: Path,
    progress: Progress | None = None,
    *,
    pause_s: float = 0.5,
) -> Path:
    """Give the file, fetching it if the folder does not hold it; put there by hand it counts too.

    What has arrived is kept as `<name>.part`, and the next attempt, in this process or a later
    one, goes on from there. Two processes that want the same file wait for each other.

    Args:
        remote: what to fetch; its size and checksum are verified once.
        folder: where it is kept.
        progress: called with the bytes that have arrived.
        pause_s: the wait before a second attempt, seconds; doubled for each further one.

    Raises:
        DownloadError: no network, a refusal, or a file that is not the one expected.
        StorageError: the folder cannot be written, or the disk is full.
    """
    target = folder / remote.file_name
    if target.exists():
        _verify_kept(remote, target)
        return target
    part = target.with_name(f"{target.name}.part")
    with storage_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock")):
            # Another process may have fetched it while this one waited.
            if not target.exists():
                _fetch_part(remote, part, target, progress, pause_s)
                _verify_part(remote, part, target)
                part.replace(target)
                _remember(target)
    return target


def _fetch_part(
    remote: RemoteFile, part: Path, target: Path, progress: Progress | None, pause_s: float
) -> None:
    """Bring the part to its full size, over as many connections as it takes."""
    if _size(part) > remote.size:
        part.unlink()
    fruitless = 0
    reason = ""
    while (before := _size(part)) != remote.size:
        try:
            _fetch_some(remote, part, progress)
        except (_NotThereError, urllib.error.URLError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", "") or error
            reason = str(getattr(cause, "strerror", None) or cause)
            if isinstance(error, _NotThereError):
                raise _unreachable(remote, target, reason) from error
        except (TimeoutError, ConnectionError) as error:
            reason = error.strerror or str(error) or type(error).__name__
        else:
            reason = f"the connection ended after {_size(part):,} of {remote.size:,} bytes"
        if _size(part) > before:
            fruitless = 0
            continue
        fruitless += 1
        if fruitless == _FRUITLESS_ATTEMPTS:
            raise _unreachable(remote, target, reason)
        time.sleep(pause_s * 2 ** (fruitless - 1))


def _fetch_some(remote: RemoteFile, part: Path, progress: Progress | None) -> None:
    """Append what one connection brings."""
    start = _size(part)
    headers = {"User-Agent": f"clary/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(remote.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            # The file at the server is shorter than the part: the part is of another file.
            part.unlink()
            return
        if error.code in {408, 425, 429} or error.code >= 500:
            raise
        raise _NotThereError(f"the server answered {error.code} {error.reason}") from error
    with response:
        goes_on = response.status == 206 and _range_start(response) == start
        done = start if goes_on else 0
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and done + int(length) != remote.size:
            raise _NotThereError(
                f"it has {done + int(length):,} bytes there, not the {remote.size:,} expected"
            )
        with part.open("ab" if goes_on else "wb") as output:
            while done <= remote.size and (chunk := _read(response)):
                output.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(f"fetching {remote.file_name}", done, remote.size)
            output.flush()
            os.fsync(output.fileno())
    if done > remote.size:
        part.unlink()
        raise _NotThereError(f"it is larger there than the {remote.size:,} bytes expected")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except OSError as error:
        # Also what TLS reports, so that it is not taken for trouble with the disk.
        raise ConnectionError(error.errno, str(error.strerror or error)) from error


def _range_start(response: http.client.HTTPResponse) -> int | None:
    text = response.headers.get("Content-Range", "")
    start = text.removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unreachable(remote: RemoteFile, target: Path, reason: str) -> DownloadError:
    return DownloadError(
        f"{remote.what} ({remote.size / 1e6:,.0f} MB) could not be fetched from {remote.url} "
        f"({reason}): connect to the network, or fetch it elsewhere and put it at {target}"
    )


def _verify_part(remote: RemoteFile, part: Path, target: Path) -> None:
    """Check what arrived; a wrong part is removed, or it would be wrong for ever."""
    problem = _problem(remote, part)
    if problem:
        part.unlink()
        raise DownloadError(
            f"{remote.what} from {remote.url} {problem}: run again to fetch it anew, or fetch it "
            f"elsewhere and put it at {target}"
        )


def _verify_kept(remote: RemoteFile, target: Path) -> None:
    if _remembered(target):
        return
    problem = _problem(remote, target)
    if problem:
        raise DownloadError(
            f"{target} {problem}: remove it to fetch {remote.url}, or give its path to use it as "
            "it is"
        )
    _remember(target)


def _problem(remote: RemoteFile, path: Path) -> str | None:
    size = _size(path)
    if size != remote.size:
        return f"has {size:,} bytes, not the {remote.size:,} expected"
    if remote.sha256 is None:
        return None
    digest = hashlib.sha256()
    with readable(path), path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != remote.sha256:
        return f"has the SHA-256 {digest.hexdigest()[:12]}…, not {remote.sha256[:12]}…"
    return None


def _verified_file(target: Path) -> Path:
    return target.with_name(f".{target.name}.verified")


def _facts(target: Path) -> dict[str, int]:
    status = target.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _remember(target: Path) -> None:
    write_json(_verified_file(target), _facts(target))


def _remembered(target: Path) -> bool:
    try:
        return bool(json.loads(_verified_file(target).read_text()) == _facts(target))
    except (OSError, ValueError):
        return False
