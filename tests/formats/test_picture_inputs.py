"""How pictures are named, and what their first bytes say."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.picture_inputs import CONTENT_TYPES, UNKNOWN_PICTURE, content_type_of
from clary.vision.headers import EXTENSIONS
from tests.conftest import make_picture


def test_every_extension_of_a_picture_has_a_content_type() -> None:
    assert set(CONTENT_TYPES) == set(EXTENSIONS)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_the_first_bytes_tell_the_type(form: str) -> None:
    written = io.BytesIO()
    make_picture(0, 0, 16).save(written, format=form)
    assert content_type_of(written.getvalue()) == f"image/{form.lower()}"


@given(st.binary(max_size=20))
def test_any_bytes_have_a_type(content: bytes) -> None:
    assert content_type_of(content) in {*CONTENT_TYPES.values(), UNKNOWN_PICTURE}
