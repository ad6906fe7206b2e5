from __future__ import annotations

import base64
import io
import json
import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clary.endpoint.codecs import Cropper, Limits, decode_request
from clary.endpoint.invocation import Invocation, Refusal
from clary.formats.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(image_size=32, resize_size=36)
crop = Cropper(PREPROCESSING)
FILE_TYPES = ["image/jpeg", "image/png", "application/x-image", "application/octet-stream", ""]
TYPES = [*FILE_TYPES, "application/json", "application/x-npy", "text/csv", "text/plain"]


def ask(body: bytes, content_type: str, limits: Limits | None = None) -> list:
    invocation = Invocation(body, content_type, "", time.monotonic() + 20)
    return decode_request(invocation, limits or Limits())


def refused(body: bytes, content_type: str, limits: Limits | None = None) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        ask(body, content_type, limits)
    return caught.value.status, caught.value.sentence


def npy(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


def npy_of(descr: object, shape: object, *, columns_first: bool = False) -> bytes:
    """The beginning of an array, whatever it announces."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {columns_first}, 'shape': {shape!r}}}"
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).integers(0, 256, shape, dtype=np.uint8)


def encoded(kind: str, picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("content_type", FILE_TYPES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_picture_file_is_taken_as_it_is(kind, content_type):
    body = encoded(kind, pixels(40, 50, 3))
    (picture,) = ask(body, content_type and f"{content_type.upper()}; charset=binary")
    assert picture == body
    assert crop(picture).shape == (32, 32, 3)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "float16", ">i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_pixels_in_npy_form(dtype, order):
    several = pixels(2, 9, 11, 3)
    for values in (several, several[0]):
        found = ask(npy(np.asarray(values, dtype=dtype, order=order)), "application/x-npy")
        expected = values if values.ndim == 4 else values[None]
        assert all(picture.dtype == np.uint8 for picture in found)
        assert np.array_equal(np.stack(found), expected)


def test_json_of_every_form_gives_the_same_pictures():
    several = pixels(2, 9, 11, 3)
    files = [{"b64": base64.b64encode(encoded("PNG", one)).decode()} for one in several]
    forms = [several.tolist(), {"instances": several.tolist()}, files, {"instances": files}]
    expected = [crop(one) for one in several]
    for form in forms:
        found = ask(json.dumps(form).encode(), "application/json; charset=utf-8")
        assert np.array_equal([crop(one) for one in found], expected)
    for form in (several[0].tolist(), files[0], [several[0].tolist()]):
        (found,) = ask(json.dumps(form).encode(), "application/json")
        assert np.array_equal(crop(found), expected[0])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[" + b"9" * 9000 + b"]", "is not JSON"),
        (b"3", "holds no pictures"),
        (b"[]", "holds no pictures"),
        (b'{"instances": []}', "holds no pictures"),
        (b'{"inputs": [[[1, 2, 3]]]}', "holds no pictures"),
        (b"[[[1, 2, 3], [4, 5]]]", "must have one shape"),
        (b"[[1, 2, 3]]", r"has shape \(1, 3\)"),
        (b"[[[1, 2, 3.5]]]", "not normalised"),
        (b"[[[1, 2, -1]]]", "not normalised"),
        (b"[[[1, 2, 256]]]", "not normalised"),
        (b"[[[1, 2, NaN]]]", "not normalised"),
        (b'[[["a", "b", "c"]]]', "lists hold text"),
        (b"[[[true, false, true]]]", "hold true or false"),
        (b"[[[1, 2, null]]]", "hold null"),
        (b'[[[1, 2, 3]], ["text", {}]]', "hold text and objects"),
        (b"[[[[[1, 2, 3]]]]]", "over 4 deep"),
        (b"[[[1, 2, 3], 4]]", "must have one shape"),
        (b"[[[1, 2, 99999999999999999999999]]]", "holds object"),
        (b'[{"b64": "%%%"}]', "is not base64"),
        (b'[{"b64": "\xc3\xa9"}]', "is not base64"),
        (b'[{"b64": ""}]', "is empty"),
        (b'[{"b64": 3}]', '"b64" of an instance is no text'),
        (b'[{"b64": "AA=="}, 3]', "neither"),
        (b'[{"b64": "AA==", "url": "http://x"}]', "neither"),
        (b'[{"image": "AA=="}]', "neither"),
        (b'[{"url": "http://127.0.0.1/a.jpg"}]', "fetches no URLs"),
    ],
)
def test_wrong_json_is_refused_with_the_reason(body, says):
    status, sentence = refused(body, "application/json")
    assert status == 400
    assert re.search(says, sentence), sentence


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not an array in .npy form"),
        (b"PK\x03\x04" + bytes(40), "not an array in .npy form"),
        (npy(pixels(4, 4, 3))[:-1], "47 bytes follow"),
        (npy(pixels(4, 4, 3)) + b"x", "49 bytes follow"),
        (npy(np.array([{"a": 1}], dtype=object)), "never loaded"),
        (npy(np.zeros((1, 3, 8, 9), np.float32)), "channels first"),
        (npy(np.full((8, 9, 3), 0.5, np.float32)), "not normalised"),
        (npy(np.full((8, 9, 3), np.nan)), "not normalised"),
        (npy(np.zeros((8, 9, 4), np.uint8)), r"has shape \(1, 8, 9, 4\)"),
        (npy(np.zeros((0, 9, 3), np.uint8)), "has shape"),
        (npy(np.zeros((8, 9, 3), complex)), "holds complex128"),
        (npy(np.zeros((2, 2, 3), "V0")), "bytes follow|holds"),
        (npy(np.uint8(3)), "has shape"),
        (npy_of("|u1", (-1, -1, 3, 3)) + bytes(9), "which no array has"),
        (npy_of("|u1", (-2, -3, 3)) + bytes(18), "which no array has"),
        (npy_of(("|u1", (3,)), (2, 2, 3)) + bytes(36), "which no array has"),
    ],
)
def test_a_wrong_array_is_refused_with_the_reason(body, says):
    status, sentence = refused(body, "application/x-npy")
    assert status == 400
    assert re.search(says, sentence), sentence


def test_an_array_that_announces_more_than_it_holds_claims_no_memory():
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 1 << 20, 3)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    status, sentence = refused(buffer.getvalue(), "application/x-npy")
    assert status == 400
    assert "0 bytes follow" in sentence


def test_too_many_pictures_are_refused():
    body = npy(np.zeros((5, 2, 2, 3), np.uint8))
    assert len(ask(body, "application/x-npy", Limits(pictures=5))) == 5
    status, sentence = refused(body, "application/x-npy", Limits(pictures=4))
    assert status == 413
    assert "5 pictures, over the bound of 4" in sentence


def test_too_much_json_is_refused_before_it_is_read():
    status, sentence = refused(b"[[[1, 2, 3]]]", "application/json", Limits(json_bytes=12))
    assert status == 413
    assert "13 bytes of JSON, over the bound of 12" in sentence


def test_long_lists_are_refused_before_they_are_read():
    limits = Limits(json_items=6)
    assert len(ask(b"[[[1, 2, 3], [4, 5, 6]]]", "application/json", limits)) == 1
    status, sentence = refused(b"[[[1, 2, 3], [4, 5, 6]], 7", "application/json", limits)
    assert status == 413
    assert "over 6 numbers" in sentence


def test_text_among_the_numbers_claims_no_memory():
    # numpy's array of these would take 2,400 MB.
    body = json.dumps(["a" * 20_000] + ["b"] * 30_000).encode()
    tracemalloc.start()
    try:
        assert refused(body, "application/json")[0] == 400
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_a_small_file_of_many_pixels_is_refused_by_its_header():
    body = encoded("PNG", np.zeros((300, 200, 3), np.uint8))
    assert Cropper(PREPROCESSING, max_pixels=60_000)(body).shape == (32, 32, 3)
    with pytest.raises(Refusal, match="200 by 300 pixels, over the bound of 59,999") as caught:
        Cropper(PREPROCESSING, max_pixels=59_999)(body)
    assert caught.value.status == 413


@pytest.mark.parametrize("content_type", ["text/csv", "text/plain", "image/svg+xml", "é" * 500])
def test_a_type_that_is_not_served_is_415(content_type):
    status, sentence = refused(b"1,2,3", content_type)
    assert status == 415
    assert "image/jpeg" in sentence
    assert len(sentence) < 400


def test_an_empty_body_is_refused():
    assert refused(b"", "image/jpeg") == (
        400,
        "the body is empty: send the bytes of a picture file",
    )


bodies = st.one_of(
    st.binary(max_size=400),
    st.binary(max_size=100).map(lambda tail: b"\xff\xd8\xff" + tail),
    st.binary(max_size=100).map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail),
    st.binary(max_size=100).map(lambda tail: b"\x93NUMPY\x01\x00" + tail),
    st.builds(
        lambda descr, shape, columns_first, tail: (
            npy_of(descr, shape, columns_first=columns_first) + tail
        ),
        st.sampled_from(["|u1", "<f4", ">i2", "<U1", "|O", "|b1", "<c8", ("|u1", (3,)), [], 3]),
        st.lists(st.integers(-3, 4), max_size=5).map(tuple) | st.just([2, 2, 3]),
        st.booleans(),
        st.integers(0, 60).map(bytes),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    st.lists(st.sampled_from([0, 3, 255, 255.0]), min_size=3, max_size=3).map(
        lambda colour: json.dumps([[colour]]).encode()
    ),
)


@settings(max_examples=400, deadline=None)
@given(body=bodies, content_type=st.sampled_from(TYPES))
def test_any_body_gives_crops_or_a_refusal(body, content_type):
    try:
        crops = [crop(picture) for picture in ask(body, content_type)]
    except Refusal as refusal:
        assert refusal.status in {400, 413, 415}
        assert refusal.sentence
        assert "\n" not in refusal.sentence
    else:
        assert crops
        assert all(one.shape == (32, 32, 3) and one.dtype == np.uint8 for one in crops)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]))
def test_a_damaged_file_gives_a_crop_or_a_refusal(data, kind):
    body = bytearray(encoded(kind, pixels(20, 24, 3)))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(1, len(body)))
    try:
        assert crop(bytes(body[:length])).shape == (32, 32, 3)
    except Refusal as refusal:
        assert (refusal.status, "cannot be read as a picture" in refusal.sentence) in {
            (400, True),
            (413, False),
        }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_picture_is_refused_and_never_answered(kind):
    body = encoded(kind, pixels(120, 160, 3))
    for length in (len(body) // 3, len(body) * 2 // 3, len(body) - 40):
        with pytest.raises(Refusal, match="cannot be read as a picture") as caught:
            crop(body[:length])
        assert caught.value.status == 400
