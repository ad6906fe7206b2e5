"""Pictures that a training does not learn from, copied with their labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clary.errors import DataError, UsageError
from clary.jobs.held_out import chosen, main
from clary.vision.datasets import ArraySource, Split


def test_pictures_of_the_test_split_are_copied_as_they_are(
    picture_folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = picture_folder("photos", classes=2, splits={"train": 4, "valid": 2, "test": 3})
    assert main([str(photos), "-o", str(tmp_path / "out"), "--count", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["split"] == "test"
    assert [one["label"] for one in told["pictures"]] == ["class_0"] * 2 + ["class_1"] * 2
    originals = {path.read_bytes() for path in (photos / "test").rglob("*.jpg")}
    for one in told["pictures"]:
        assert (tmp_path / "out" / one["file"]).read_bytes() in originals


def test_arrays_become_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits", "-o", str(tmp_path), "--count=3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["label"] for one in told["pictures"]] == ["0", "4", "9"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_without_held_out_pictures_there_are_none(picture_folder, tmp_path: Path) -> None:
    photos = picture_folder("photos", classes=2, per_class=4)
    words = [str(photos), "-o", str(tmp_path / "out"), "--test-fraction=0", "--valid-fraction=0"]
    with pytest.raises(DataError, match=r"no picture of .* is held out: put some into test/"):
        main(words)
    with pytest.raises(UsageError, match="--count is 0: give 1 or more"):
        main([*words, "--count=0"])


@pytest.mark.parametrize(
    ("labels", "count", "expected"),
    [
        ([0, 0, 0, 1], 2, [0, 3]),
        ([0, 0, 0, 1], 3, [0, 1, 3]),
        ([0, 0, 1, 1], 9, [0, 1, 2, 3]),
        ([3, 2, 1, 0], 2, [3, 0]),
        ([0, 1, 2, 3, 4], 1, [0]),
        ([2, 2, 2], 2, [0, 1]),
    ],
)
def test_as_many_classes_as_can_be(labels: list[int], count: int, expected: list[int]) -> None:
    source = ArraySource(np.zeros((len(labels), 2, 2, 3), dtype=np.uint8))
    split = Split(source, np.array(labels, dtype=np.int64))
    assert chosen(split, 5, count) == expected
