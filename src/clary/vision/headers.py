"""What the first bytes of a picture tell: format, size, orientation. Nothing is decoded.

The extension is never asked. 64 KiB are nearly always enough, so a scan of many files reads only
their beginnings.

References: JPEG ITU-T T.81 annex B; EXIF 2.32 section 4.6; PNG (W3C) section 5; GIF89a section
18; WebP container RFC 9649; BMP as in the Windows GDI documentation;
TIFF 6.0 section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clary.errors import UnreadablePicture

HEAD_BYTES = 64 * 1024
# Pillow's own limit against decompression bombs: 537 MB as RGB.
MAX_PIXELS = 178_956_970

PictureFormat = Literal["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]
ColourModel = Literal["grey", "colour", "palette", "alpha", "cmyk"]

EXTENSIONS: dict[str, PictureFormat] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Which format each extension promises; what a file is, its first bytes say."""

_MAGIC: tuple[tuple[bytes, PictureFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "it is a PDF document"),
    (b"8BPS", "it is a Photoshop file, export it as JPEG or PNG"),
    (b"PK\x03\x04", "it is a zip archive"),
    (b"\x1f\x8b", "it is a gzip archive"),
    (b"version https://git-lfs", "it is a Git LFS pointer, run `git lfs pull`"),
    (b"\0\0\0\x0cjP  ", "it is JPEG 2000, convert it to JPEG or PNG"),
)
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIC",
    b"hevc": "HEIC",
}
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# TIFF tags, and the bytes of the types SHORT and LONG.
_WIDTH, _HEIGHT, _PHOTOMETRIC, _ORIENTATION = 256, 257, 262, 274
_TIFF_SIZES = {3: 2, 4: 4}


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """`width` and `height` in pixels as stored, before `orientation` (EXIF, 1 to 8) is applied.

    The orientation of WebP stands behind the pixels: it is 1 here and found when the picture is
    decoded.
    """

    format: PictureFormat
    width: int
    height: int
    colour: ColourModel
    orientation: int = 1

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height in pixels as a person sees the picture."""
        if self.orientation >= 5:
            return self.height, self.width
        return self.width, self.height


class _NotInHead(Exception):
    """The bytes end before the size is known."""


def read_header(encoded: bytes, name: str) -> PictureHeader:
    """Read the header of a whole file.

    Args:
        encoded: the file.
        name: what a person calls the picture, for the error.

    Raises:
        UnreadablePicture: it is no picture of a known format, ends within its header, has no
            pixels, or has more than `MAX_PIXELS`.
    """
    header = peek_header(encoded, name)
    if header is None:
        raise UnreadablePicture(
            name, f"{sniff(encoded)} truncated in its header, after {len(encoded):,} bytes"
        )
    return header


def peek_header(head: bytes, name: str) -> PictureHeader | None:
    """Read the header from a file's first bytes; None when they end before the size is told.

    Raises:
        UnreadablePicture: it is no picture of a known format, has no pixels, or has more than
            `MAX_PIXELS`.
    """
    picture_format = sniff(head)
    if picture_format is None:
        raise UnreadablePicture(name, _what_else(head))
    try:
        header = _PARSERS[picture_format](head)
    except (_NotInHead, IndexError):
        return None
    pixels = header.width * header.height
    if pixels <= 0:
        raise UnreadablePicture(
            name, f"its header says {header.width}×{header.height} pixels, so it is damaged"
        )
    if pixels > MAX_PIXELS:
        raise UnreadablePicture(
            name,
            f"{header.width}×{header.height} is {pixels / 1e6:,.0f} megapixels, more than "
            f"the {MAX_PIXELS / 1e6:.0f} that are decoded",
        )
    return header


def sniff(head: bytes) -> PictureFormat | None:
    """Which format the first bytes are of, None when it is none that can be decoded."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def ends_well(picture_format: PictureFormat, size: int, head: bytes, tail: bytes) -> bool:
    """Whether a file's end looks like the end of a picture; when not, only decoding can tell.

    Args:
        picture_format: what it is.
        size: bytes in the file.
        head: its first bytes, 16 at least if there are so many.
        tail: its last bytes, 64 if there are so many.

    Returns:
        True when the end marker stands there or the announced length is reached.
    """
    if picture_format == "JPEG":
        return b"\xff\xd9" in tail
    if picture_format == "PNG":
        return b"IEND" in tail
    if picture_format == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    if picture_format == "WEBP":
        return size >= int.from_bytes(head[4:8], "little") + 8
    if picture_format == "BMP":
        return size >= int.from_bytes(head[2:6], "little") > 0
    return False


def _jpeg(head: bytes) -> PictureHeader:
    position, orientation = 2, 1
    while True:
        position = head.find(b"\xff", position)
        if position < 0 or position + 9 >= len(head):
            raise _NotInHead
        marker = head[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            position += 2
        elif marker in _SOF:
            height = int.from_bytes(head[position + 5 : position + 7], "big")
            width = int.from_bytes(head[position + 7 : position + 9], "big")
            components = head[position + 9]
            colour: ColourModel = {1: "grey", 4: "cmyk"}.get(components, "colour")  # type: ignore[assignment]
            return PictureHeader("JPEG", width, height, colour, orientation)
        else:
            length = int.from_bytes(head[position + 2 : position + 4], "big")
            if marker == 0xE1 and head[position + 4 : position + 10] == b"Exif\0\0":
                orientation = _orientation(head[position + 10 : position + 2 + length])
            position += 2 + max(length, 2)


def _orientation(exif: bytes) -> int:
    """The orientation in the first directory of an EXIF block (a small TIFF); 1 without one."""
    value = _tiff_values(exif).get(_ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _tiff_values(block: bytes) -> dict[int, int]:
    """The single 16- and 32-bit values in the first directory of a TIFF, by tag.

    Entries that `block` does not reach are left out.
    """
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    start = int.from_bytes(block[4:8], order)
    count = int.from_bytes(block[start : start + 2], order)
    values: dict[int, int] = {}
    for entry in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        size = _TIFF_SIZES.get(int.from_bytes(block[entry + 2 : entry + 4], order))
        if size is not None:
            tag = int.from_bytes(block[entry : entry + 2], order)
            values[tag] = int.from_bytes(block[entry + 8 : entry + 8 + size], order)
    return values


def _png(head: bytes) -> PictureHeader:
    if len(head) < 26:
        raise _NotInHead
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    colours: dict[int, ColourModel] = {0: "grey", 3: "palette", 4: "alpha", 6: "alpha"}
    orientation, position = 1, 8
    while position + 8 <= len(head):
        kind = head[position + 4 : position + 8]
        length = int.from_bytes(head[position : position + 4], "big")
        if kind == b"eXIf":
            orientation = _orientation(head[position + 8 : position + 8 + length])
        if kind in {b"eXIf", b"IDAT"}:
            break
        position += 12 + length
    return PictureHeader("PNG", width, height, colours.get(head[25], "colour"), orientation)


def _gif(head: bytes) -> PictureHeader:
    if len(head) < 10:
        raise _NotInHead
    width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return PictureHeader("GIF", width, height, "palette")


def _bmp(head: bytes) -> PictureHeader:
    if len(head) < 30:
        raise _NotInHead
    if int.from_bytes(head[14:18], "little") == 12:  # the OS/2 header, with 16-bit sides
        width, height = int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little")
        bits = int.from_bytes(head[24:26], "little")
    else:
        width = int.from_bytes(head[18:22], "little", signed=True)
        # A negative height means that the rows run from the top.
        height = abs(int.from_bytes(head[22:26], "little", signed=True))
        bits = int.from_bytes(head[28:30], "little")
    return PictureHeader("BMP", width, height, "palette" if bits <= 8 else "colour")


def _webp(head: bytes) -> PictureHeader:
    if len(head) < 30:
        raise _NotInHead
    if head[12:16] == b"VP8X":
        width = int.from_bytes(head[24:27], "little") + 1
        height = int.from_bytes(head[27:30], "little") + 1
        return PictureHeader("WEBP", width, height, "alpha" if head[20] & 0x10 else "colour")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return PictureHeader("WEBP", width, height, "alpha" if bits >> 28 & 1 else "colour")
    width = int.from_bytes(head[26:28], "little") & 0x3FFF
    height = int.from_bytes(head[28:30], "little") & 0x3FFF
    return PictureHeader("WEBP", width, height, "colour")


def _tiff(head: bytes) -> PictureHeader:
    values = _tiff_values(head)
    if not {_WIDTH, _HEIGHT} <= values.keys():
        # The directory may lie anywhere, often at the end of the file.
        raise _NotInHead
    grey = values.get(_PHOTOMETRIC) in {0, 1}  # white is zero, black is zero
    turn = values.get(_ORIENTATION, 1)
    return PictureHeader(
        "TIFF",
        values[_WIDTH],
        values[_HEIGHT],
        "grey" if grey else "colour",
        turn if 1 <= turn <= 8 else 1,
    )


def _what_else(head: bytes) -> str:
    """Why bytes that are no known picture are none, as a person would say it."""
    if not head.strip(b"\0"):
        return "it is empty" if not head else "it holds nothing but zeros"
    if head[4:8] == b"ftyp":
        brand = _BRANDS.get(head[8:12])
        return f"it is {brand}, convert it to JPEG or PNG" if brand else "it is a video"
    for magic, reason in _FOREIGN:
        if head.startswith(magic):
            return reason
    text = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "it is a web page"
    if b"<svg" in text:
        return "it is an SVG drawing, export it as PNG"
    known = "JPEG, PNG, WebP, BMP, TIFF or GIF"
    return f"it is not {known}; it begins with {head[:8].hex(' ')}"


_PARSERS = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp, "WEBP": _webp, "TIFF": _tiff}
