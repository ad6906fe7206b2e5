"""Every kind of picture becomes upright RGB, and nothing damaged becomes a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from clary.errors import UnreadablePicture
from clary.vision.decoding import decode_picture
from clary.vision.headers import HEAD_BYTES, MAX_PIXELS, ends_well, peek_header, read_header, sniff


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture that differs under every rotation and reflection, and in every channel."""
    y, x = np.mgrid[0:height, 0:width] / (max(width, height) - 1 or 1)
    channels = (x * 255, y * 255, 255 * (1 - x) * y)
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(left: np.ndarray, right: Image.Image) -> float:
    return float(np.abs(left.astype(int) - np.asarray(right.convert("RGB")).astype(int)).mean())


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_decoded_by_its_content(kind: str) -> None:
    encoded = encode(photo(), kind)
    pixels = decode_picture(encoded, "picture.with-a-lying-extension")
    assert pixels.shape == (64, 96, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    with Image.open(io.BytesIO(encoded)) as reference:
        assert difference(pixels, reference) < 1
    header = read_header(encoded, "x")
    assert (header.format, header.width, header.height) == (kind, 96, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_as_pillow_applies_it(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(photo(), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    with Image.open(io.BytesIO(encoded)) as stored:
        upright = ImageOps.exif_transpose(stored)
    pixels = decode_picture(encoded, "x")
    assert pixels.shape == (upright.height, upright.width, 3)
    assert difference(pixels, upright) < 1
    if kind != "WEBP":
        assert read_header(encoded, "x").orientation == orientation
        assert read_header(encoded, "x").upright_size == upright.size


def test_transparency_lies_on_white() -> None:
    layers = photo().convert("RGBA")
    layers.putalpha(0)
    for kind in ("PNG", "WEBP"):
        assert (decode_picture(encode(layers, kind), "x") == 255).all()
    palette = photo().quantize(16)
    encoded = encode(palette, "PNG", transparency=palette.getpixel((0, 0)))
    assert tuple(decode_picture(encoded, "x")[0, 0]) == (255, 255, 255)
    grey = Image.new("LA", (4, 4), (0, 0))
    assert (decode_picture(encode(grey, "PNG"), "x") == 255).all()


def test_palette_grey_and_bilevel_pictures_become_rgb() -> None:
    for image in (photo().quantize(256), photo().convert("L"), photo().convert("1")):
        pixels = decode_picture(encode(image, "PNG"), "x")
        assert difference(pixels, image) == 0


def test_sixteen_bit_grey_is_scaled_from_its_full_range() -> None:
    deep = Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16))
    for kind in ("PNG", "TIFF"):
        pixels = decode_picture(encode(deep, kind), "x")
        assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_cmyk_jpegs_keep_their_colours() -> None:
    pixels = decode_picture(encode(photo().convert("CMYK"), "JPEG", quality=95), "x")
    assert difference(pixels, photo()) < 3


def test_floating_point_pictures_are_refused_with_a_reason() -> None:
    deep = Image.fromarray(np.ones((4, 4), dtype=np.float32))
    with pytest.raises(UnreadablePicture, match="no known range"):
        decode_picture(encode(deep, "TIFF"), "x")


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        encoded = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert tuple(decode_picture(encoded, "x")[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize(
    ("size", "min_side", "expected"),
    [
        ((1600, 1200), 256, (300, 400)),
        ((1600, 1200), 150, (150, 200)),
        ((1600, 1200), 151, (300, 400)),
        ((1600, 1200), 601, (1200, 1600)),
        ((1601, 1201), 601, (601, 801)),
        ((500, 375), 256, (375, 500)),
    ],
)
def test_large_jpegs_come_smaller_but_never_under_the_side_asked_for(
    size: tuple[int, int], min_side: int, expected: tuple[int, int]
) -> None:
    encoded = encode(photo(*size), "JPEG", quality=95)
    pixels = decode_picture(encoded, "x", min_side=min_side)
    assert pixels.shape[:2] == expected
    assert difference(pixels, photo(*size).resize(pixels.shape[1::-1], Image.Resampling.BOX)) < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_picture_is_an_error_never_a_grey_picture(kind: str, kept: float) -> None:
    encoded = encode(photo(256, 256), kind)
    with pytest.raises(UnreadablePicture, match=r"birds/7\.jpg cannot be read") as caught:
        decode_picture(encoded[: int(len(encoded) * kept)], "birds/7.jpg")
    assert caught.value.name == "birds/7.jpg"


@pytest.mark.parametrize("options", [{"progressive": True}, {}])
def test_a_jpeg_missing_its_last_bytes_is_truncated_at_every_scale(options: dict) -> None:
    encoded = encode(photo(800, 800), "JPEG", quality=95, **options)
    for min_side in (None, 32, 300):
        with pytest.raises(UnreadablePicture, match="truncated after"):
            decode_picture(encoded[:-10], "x", min_side=min_side)


def test_a_hole_in_a_jpeg_is_damage() -> None:
    encoded = encode(photo(256, 256), "JPEG", quality=95)
    middle = len(encoded) // 2
    holed = encoded[:middle] + b"\xff\xd9" + encoded[middle + 2 :]
    with pytest.raises(UnreadablePicture, match="JPEG"):
        decode_picture(holed, "x")


def test_stray_bytes_between_segments_lose_no_pixel() -> None:
    encoded = encode(photo(), "JPEG", quality=95)
    scan = encoded.index(b"\xff\xda")
    stray = encoded[:scan] + b"\0\0" + encoded[scan:]
    assert (decode_picture(stray, "x") == decode_picture(encoded, "x")).mean() > 0.99
    with pytest.raises(UnreadablePicture, match="truncated"):
        decode_picture(stray[:-200], "x")
    many = encoded[:scan] + bytes(100) + encoded[scan:]
    with pytest.raises(UnreadablePicture, match="extraneous"):
        decode_picture(many, "x")


def test_what_follows_a_picture_is_ignored() -> None:
    for kind in ("JPEG", "PNG"):
        encoded = encode(photo(), kind)
        assert decode_picture(encoded + b"motion video" * 100, "x").shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (bytes(100), "nothing but zeros"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "AVIF"),
        (b"\0\0\0\x18ftypisom" + bytes(20), "video"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"%PDF-1.7", "PDF"),
        (b"hello there", "begins with 68 65 6c 6c 6f"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePicture, match=reason):
        decode_picture(content, "x")


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    side = 20_000
    bomb = bytearray(encode(photo(), "PNG"))
    bomb[16:24] = side.to_bytes(4, "big") * 2
    assert side * side > MAX_PIXELS
    with pytest.raises(UnreadablePicture, match="400 megapixels, more than the 179"):
        decode_picture(bytes(bomb), "x")


def test_a_jpeg_whose_size_lies_past_the_head_is_found_in_the_whole_file() -> None:
    encoded = encode(photo(), "JPEG")
    segment = b"\xff\xe2" + (65_535).to_bytes(2, "big") + bytes(65_533)
    long = encoded[:2] + segment + encoded[2:]
    assert peek_header(long[:HEAD_BYTES], "x") is None
    assert read_header(long, "x").width == 96


def test_a_tiff_with_its_directory_at_the_end_needs_the_whole_file() -> None:
    encoded = encode(photo(400, 300), "TIFF")
    start = int.from_bytes(encoded[4:8], "little")
    directory = encoded[
        start : start + 2 + 12 * int.from_bytes(encoded[start : start + 2], "little")
    ]
    moved = encoded[:4] + len(encoded).to_bytes(4, "little") + encoded[8:] + directory + bytes(4)
    assert peek_header(moved[:HEAD_BYTES], "x") is None
    assert read_header(moved, "x").upright_size == (400, 300)
    assert decode_picture(moved, "x").shape == (300, 400, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_the_end_of_a_file_tells_truncation(kind: str) -> None:
    encoded = encode(photo(), kind)
    assert ends_well(kind, len(encoded), encoded, encoded[-64:])
    cut = encoded[: len(encoded) * 2 // 3]
    assert not ends_well(kind, len(cut), cut, cut[-64:])


@hypothesis_settings(deadline=None, max_examples=200)
@given(
    kind=st.sampled_from(FORMATS),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    quality=st.integers(30, 95),
)
def test_the_header_tells_what_decoding_gives(
    kind: str, width: int, height: int, quality: int
) -> None:
    encoded = encode(photo(width, height), kind, **({"quality": quality} if kind == "JPEG" else {}))
    header = read_header(encoded, "x")
    assert header.upright_size == (width, height)
    assert decode_picture(encoded, "x").shape == (height, width, 3)


@hypothesis_settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(FORMATS),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=6),
    kept=st.floats(0, 1),
)
def test_damaged_bytes_give_a_picture_or_one_error(
    kind: str, flips: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(encode(photo(24, 24), kind))
    for where, bits in flips:
        damaged[int(where * len(damaged))] ^= bits
    damaged = damaged[: max(1, int(kept * len(damaged)))]
    try:
        pixels = decode_picture(bytes(damaged), "x")
    except UnreadablePicture:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_sniffed_without_an_accident(content: bytes) -> None:
    if sniff(content) is None:
        with pytest.raises(UnreadablePicture):
            peek_header(content, "x")


@pytest.mark.real_data
def test_real_photos_decode_as_pillow_decodes_them(hymenoptera: Path) -> None:
    for path in sorted(hymenoptera.glob("train/*/*.jpg"))[:20]:
        with Image.open(path) as image:
            assert difference(decode_picture(path.read_bytes(), path.name), image) < 0.5
