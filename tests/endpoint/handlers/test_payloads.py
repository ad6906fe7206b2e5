"""Arrays survive the trip; what is none is the sender's fault, and pickles are never run."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clary.endpoint.handlers.failures import BadBody, UnacceptableFormat, UnsupportedFormat
from clary.endpoint.handlers.payloads import CSV, JSON, NPY, NPZ, accepted, chosen, decode, encode

FLOATS = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=4),
    elements=st.floats(-1e6, 1e6),
)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("it was run",)


@given(FLOATS)
def test_json_and_npy_bring_back_what_was_sent(array: np.ndarray) -> None:
    for kind in (JSON, NPY):
        np.testing.assert_array_equal(decode(encode(array, kind), kind), array)


@given(arrays.arrays(np.float64, (3, 2), elements=st.floats(-1e6, 1e6)))
def test_csv_brings_back_rows(array: np.ndarray) -> None:
    text = encode(array, CSV)
    assert isinstance(text, str)
    np.testing.assert_array_equal(decode(text, CSV), array)
    np.testing.assert_array_equal(decode(text.encode(), "text/csv; charset=utf-8"), array)


@given(st.binary(max_size=200), st.sampled_from([JSON, CSV, NPY, NPZ]))
def test_any_body_is_an_array_or_the_senders_fault(body: bytes, kind: str) -> None:
    try:
        decode(body, kind)
    except (BadBody, UnsupportedFormat) as error:
        assert 400 <= error.status_code < 500


def zipped(**contents: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


TERABYTES = (
    b"\x93NUMPY\x01\x00v\x00"
    + (b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % 10**15).ljust(117)
    + b"\n"
)


@pytest.mark.parametrize("kind", [NPY, NPZ])
@pytest.mark.parametrize(
    "body",
    [
        b"PK\x03\x04",
        zipped(),
        zipped(a=b"no array"),
        zipped(format=b""),
        zipped(a=b"x" * 200)[:-30],
        zipped(format=TERABYTES),
        TERABYTES,
    ],
)
def test_what_looks_like_arrays_at_first_is_the_senders_fault(body: bytes, kind: str) -> None:
    with pytest.raises(BadBody, match=r"the body is no application/x-np[yz] that makes an array"):
        decode(body, kind)


def test_a_pickle_is_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    for body in (buffer.getvalue(), pickle.dumps(Bomb())):
        with pytest.raises(BadBody, match="x-npy"):
            decode(body, NPY)
    assert capsys.readouterr().out == ""


def test_arrays_inside_lists_become_lists() -> None:
    text = encode({"scores": [np.float32(0.5), np.array([1, 2])]}, JSON)
    assert json.loads(text) == {"scores": [0.5, [1, 2]]}


def test_other_types_are_named() -> None:
    with pytest.raises(UnsupportedFormat, match=r"Content type image/jpeg is not supported by"):
        decode(b"", "image/jpeg")
    with pytest.raises(UnacceptableFormat, match="application/xml") as refused:
        encode([1], "application/xml")
    assert refused.value.status_code == 406


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", JSON),
        ("*/*", JSON),
        ("text/*", CSV),
        ("application/x-npy, application/json", NPY),
        ("application/json;q=0.1, application/x-npy;q=0.9", NPY),
        ("text/html, application/json;q=0.9, */*;q=0.8", JSON),
        ("text/html, */*;q=0.1", JSON),
        ("application/x-npy;q=much, application/json;q=0.9", NPY),
        ("application/x-npy;q=nan, application/json;q=0.9", NPY),
        ("Text/CSV", CSV),
    ],
)
def test_the_accepted_type_that_can_be_written(accept: str, kind: str) -> None:
    assert chosen(accept) == kind


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*"])
def test_none_that_is_accepted_can_be_written(accept: str) -> None:
    with pytest.raises(UnacceptableFormat):
        chosen(accept)


@given(st.text())
def test_any_accept_header_can_be_read(accept: str) -> None:
    assert all(isinstance(kind, str) for kind in accepted(accept))
