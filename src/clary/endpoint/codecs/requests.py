"""From the body of a request to its pictures.

| Content-Type                                                  | body                        |
|---------------------------------------------------------------|-----------------------------|
| image/*, application/x-image, application/octet-stream, none  | the bytes of a picture file |
| application/json                                              | see `json_bodies`           |
| application/x-npy                                             | see `arrays`                |

The same as `code/inference.py` of a model archive takes on AWS. What a picture file is, its first
bytes say; it is decoded by `Cropper`, which knows how large the network wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from clary.endpoint.codecs.arrays import Pixels, pictures_of_npy
from clary.endpoint.codecs.fetching import fetch_picture
from clary.endpoint.codecs.json_bodies import FileInBase64, FileUrl, pictures_of_json
from clary.endpoint.invocation import Invocation, Refusal

Picture = bytes | Pixels
_Item = TypeVar("_Item")

_FILE_TYPES = frozenset(
    {
        *(f"image/{name}" for name in ("jpeg", "jpg", "pjpeg", "png", "x-png", "webp", "gif")),
        *(f"image/{name}" for name in ("bmp", "x-bmp", "x-ms-bmp", "tiff", "tif", "*")),
        "application/x-image",
        "application/octet-stream",
        "",
    }
)


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    pictures:      at most; each takes the network's time
    json_bytes:    of a body in JSON
    json_items:    in its lists; they take many times their size in memory, and nobody else's
                   request is looked at while they are read. Any that InvokeEndpoint carries pass
    allow_urls:    whether the server fetches pictures that requests name
    private_urls:  whether they may lie at addresses that are not the internet's
    url_bytes:     of one fetched picture
    urls_bytes:    of all that are fetched for one request
    url_seconds:   for one fetched picture
    """

    pictures: int = 512
    json_bytes: int = 64 << 20
    json_items: int = 3 << 20
    allow_urls: bool = False
    private_urls: bool = False
    url_bytes: int = 20 << 20
    urls_bytes: int = 64 << 20
    url_seconds: float = 10.0


def decode_request(invocation: Invocation, limits: Limits) -> list[Picture]:
    """The pictures of a request, in their order: encoded files, or uint8 of shape (H, W, 3).

    Call it on a thread: JSON of some megabytes takes a tenth of a second, a URL what it takes.

    Raises:
        Refusal: the body is not what its content type says (400), holds too many pictures (413),
            or the type is not served (415).
    """
    kind = invocation.content_type.partition(";")[0].strip().lower()
    pictures: list[Picture]
    if kind in _FILE_TYPES:
        if not invocation.body:
            raise Refusal(400, "the body is empty: send the bytes of a picture file")
        return [invocation.body]
    if kind == "application/json":
        if len(invocation.body) > limits.json_bytes:
            raise Refusal(
                413,
                f"the body holds {len(invocation.body):,} bytes of JSON, over the bound of "
                f"{limits.json_bytes:,}: send application/x-npy or picture files",
            )
        # Each but the first has a comma before it.
        if invocation.body.count(b",") >= limits.json_items:
            raise Refusal(
                413,
                f"the body's lists hold over {limits.json_items:,} numbers: send application/x-npy "
                "or picture files",
            )
        items = _few(pictures_of_json(invocation.body), limits)
        pictures = _with_fetched(items, invocation, limits)
    elif kind == "application/x-npy":
        pictures = [*_few(pictures_of_npy(invocation.body), limits)]
    else:
        raise Refusal(415, _not_served(kind))
    return pictures


def _with_fetched(
    items: Sequence[Pixels | FileInBase64 | FileUrl], invocation: Invocation, limits: Limits
) -> list[Picture]:
    """The pictures, those behind URLs fetched one after the other."""
    left = limits.urls_bytes
    pictures: list[Picture] = []
    for item in items:
        if isinstance(item, FileUrl):
            content = _fetched(item.url, min(left, limits.url_bytes), invocation, limits)
            left -= len(content)
            pictures.append(content)
        else:
            pictures.append(item.content if isinstance(item, FileInBase64) else item)
    return pictures


def _fetched(url: str, max_bytes: int, invocation: Invocation, limits: Limits) -> bytes:
    if not limits.allow_urls:
        raise Refusal(
            400,
            "this endpoint fetches no URLs: send the picture itself, or set CLARY_ALLOW_URLS=1 "
            "in the model's environment",
        )
    return fetch_picture(
        url,
        max_bytes,
        limits.url_seconds,
        deadline=invocation.deadline,
        private=limits.private_urls,
    )


def _few(items: list[_Item], limits: Limits) -> list[_Item]:
    if len(items) > limits.pictures:
        raise Refusal(
            413,
            f"the body holds {len(items):,} pictures, over the bound of {limits.pictures}: send "
            "them in several requests",
        )
    return items


def _not_served(kind: str) -> str:
    if kind == "text/csv":
        return (
            "text/csv is not served for pictures, whose rows and columns it does not tell: send "
            "image/jpeg, application/json or application/x-npy"
        )
    return (
        f"content type {kind[:100]!r} is not served: send image/jpeg, image/png, image/webp, "
        "image/bmp, image/gif, image/tiff, application/x-image, application/json or "
        "application/x-npy"
    )
