"""What `clary tune` finds wrong with the pictures, before it starts anything."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Clary


def test_data_that_cannot_be_learned_is_said_before_any_trial(
    clary: Clary, picture_folder, tmp_path: Path
) -> None:
    single = clary("tune", picture_folder("single", classes=1))
    assert (single.returncode, single.stderr.count("\n")) == (1, 1)
    assert "a classifier needs at least 2" in single.stderr
    many = clary("tune", picture_folder("few", per_class=8), "--space", "batch_size=4,512")
    assert many.returncode == 2
    assert "the range of batch_size goes up to 512, but there are" in many.stderr
    assert not (tmp_path / "home" / "state.sqlite").exists()
