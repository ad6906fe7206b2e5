"""Encoded bytes to pixels: one way for training, evaluation, prediction and serving.

JPEG goes through simplejpeg, strictly: a file cut short is an error, never a grey picture. The
rest goes through Pillow. The extension is not asked, the EXIF orientation is applied, and of
several frames the first is taken.
"""

from __future__ import annotations

import io
import re

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from clary.cores import usable_cores
from clary.errors import UnreadablePicture
from clary.vision.headers import PictureFormat, PictureHeader, ends_well, read_header

Pixels = npt.NDArray[np.uint8]

# The plugins themselves and not Image.open: no search through forty formats, none of which a
# picture from the web should reach (EPS starts a process), and MAX_PIXELS as the only bound.
_PLUGINS: dict[PictureFormat, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
# Factors that libjpeg-turbo has fast inverse transforms for; 3/8, 5/8 … are slower than 1.
_JPEG_FACTORS = (8, 4, 2)
# A few stray bytes between segments are common in the files of some cameras and editors, and
# lose no pixel. More of them mean that the decoder lost its place.
_STRAY_BYTES = re.compile(r"(\d+) extraneous bytes before marker")
_MAX_STRAY_BYTES = 16
_EXIF_ORIENTATION = 0x0112


def decode_picture(encoded: bytes, name: str, *, min_side: int | None = None) -> Pixels:
    """Decode a picture to RGB as a person sees it.

    Args:
        encoded: the whole file: JPEG, PNG, WebP, BMP, TIFF or GIF.
        name: what a person calls the picture, for the error.
        min_side: when given, a JPEG of at least twice this short side may come smaller (by 2, 4
            or 8, in the inverse cosine transform), its short side still `min_side` pixels or
            more; the time falls to a third to a half once the resize that follows is counted.

    Returns:
        uint8 of shape (height, width, 3), contiguous. Transparency lies on white, 16-bit grey is
        scaled from its full range, CMYK is converted without a colour profile.

    Raises:
        UnreadablePicture: it is truncated, damaged, too large or of no known format.
    """
    return decode_with_header(encoded, read_header(encoded, name), name, min_side=min_side)


def decode_with_header(
    encoded: bytes, header: PictureHeader, name: str, *, min_side: int | None = None
) -> Pixels:
    """Decode as `decode_picture` does, with the header already read.

    Raises:
        UnreadablePicture: it is truncated or damaged.
    """
    if header.format == "JPEG" and header.colour != "cmyk":
        try:
            pixels = _decode_jpeg(encoded, header, min_side)
        except ValueError as error:
            stray = _STRAY_BYTES.search(str(error))
            if stray is None or int(stray[1]) > _MAX_STRAY_BYTES:
                raise UnreadablePicture(name, _jpeg_reason(str(error), encoded)) from error
            # simplejpeg tells the first complaint only; Pillow still refuses a truncated file.
        else:
            return _upright(pixels, header.orientation)
    if header.format in {"PNG", "WEBP"} and not ends_well(
        header.format, len(encoded), encoded, encoded[-4096:]
    ):
        raise UnreadablePicture(name, f"{header.format} truncated after {len(encoded):,} bytes")
    return _decode_with_pillow(encoded, header.format, name)


def _decode_jpeg(encoded: bytes, header: PictureHeader, min_side: int | None) -> Pixels:
    factor = 1
    if min_side is not None:
        short = min(header.width, header.height)
        factor = next((f for f in _JPEG_FACTORS if -(-short // f) >= max(min_side, 1)), 1)
    pixels: Pixels = simplejpeg.decode_jpeg(
        encoded,
        "RGB",
        min_height=-(-header.height // factor),
        min_width=-(-header.width // factor),
        strict=True,
    )
    return pixels


def _jpeg_reason(complaint: str, encoded: bytes) -> str:
    if "Premature end of JPEG" in complaint or b"\xff\xd9" not in encoded[-4096:]:
        return f"JPEG truncated after {len(encoded):,} bytes"
    return f"JPEG damaged: {complaint.removeprefix('Corrupt JPEG data: ')}"


def _decode_with_pillow(encoded: bytes, picture_format: PictureFormat, name: str) -> Pixels:
    try:
        with _PLUGINS[picture_format](io.BytesIO(encoded)) as image:
            image.load()
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            pixels = _to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:
        # Given damaged bytes, Pillow's plugins raise nearly anything: OSError, SyntaxError,
        # ValueError, struct.error, EOFError, IndexError.
        reason = str(error) or type(error).__name__
        raise UnreadablePicture(name, f"{picture_format} damaged: {reason}") from error
    return _upright(pixels, orientation)


def _to_rgb(image: Image.Image) -> Pixels:
    if image.mode == "F":
        raise ValueError("32-bit floating point pixels have no known range, save it with 8 bits")
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return np.repeat(((grey * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layers)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels as EXIF 2.32 section 4.6.4 A says: 1 to 8, anything else is 1."""
    if orientation == 2:
        turned = pixels[:, ::-1]
    elif orientation == 3:
        turned = pixels[::-1, ::-1]
    elif orientation == 4:
        turned = pixels[::-1]
    elif orientation == 5:
        turned = pixels.transpose(1, 0, 2)
    elif orientation == 6:
        turned = np.rot90(pixels, -1)
    elif orientation == 7:
        turned = pixels.transpose(1, 0, 2)[::-1, ::-1]
    elif orientation == 8:
        turned = np.rot90(pixels, 1)
    else:
        return pixels
    return np.ascontiguousarray(turned)


def default_workers() -> int:
    """Threads that decode pictures: one a usable core, 16 at most."""
    return min(16, usable_cores())
