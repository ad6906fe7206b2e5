from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from clary.errors import FormatError
from clary.formats.records import read_record


class Place(BaseModel):
    x: int


class Walk(BaseModel):
    version: int = 1
    places: tuple[Place, ...]


def written(folder: Path, content: Any) -> Path:
    path = folder / "walk.json"
    path.write_text(json.dumps(content))
    return path


def test_what_fits_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"version": 1, "places": [{"x": 3}]})
    assert read_record(Walk, path, 1, "a walk") == Walk(places=(Place(x=3),))


def test_what_does_not_fit_is_named_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, {"version": 1, "places": [{"x": 3}, {"x": "far"}, {}]})
    with pytest.raises(FormatError) as raised:
        read_record(Walk, path, 1, "a walk", remedy="remove it")
    said = str(raised.value)
    assert said.startswith(f"{path} is not a walk (places.1.x: ")
    assert said.endswith("): remove it")
    assert "\n" not in said


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"version": 2, "places": []})
    with pytest.raises(FormatError, match="install a newer Clary"):
        read_record(Walk, path, 1, "a walk")


def test_the_version_may_stand_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path, {"format": 1, "places": []})
    assert read_record(Walk, path, 1, "a walk", key="format") == Walk(places=())
