"""What `clary tune` finds wrong with the pictures, before it starts anything."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Clary

UNTRAINED = ("--model", "test_resnet", "--weights", "none")


def test_networks_are_looked_for_before_any_trial(
    clary: Clary, picture_folder, tmp_path: Path
) -> None:
    photos = picture_folder("photos", per_class=8)
    words = ("--weights", "none", "--space", "model=test_resnet,nosuch")
    refused = clary("tune", photos, *words)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "there is no model 'nosuch' among timm's" in refused.stderr
    assert not (tmp_path / "home" / "state.sqlite").exists()


def test_data_that_cannot_be_learned_is_said_before_any_trial(
    clary: Clary, picture_folder, tmp_path: Path
) -> None:
    single = clary("tune", picture_folder("single", classes=1))
    assert (single.returncode, single.stderr.count("\n")) == (1, 1)
    assert "a classifier needs at least 2" in single.stderr
    unjudged = clary("tune", picture_folder("flat"), *UNTRAINED, "--valid-fraction", "0")
    assert (unjudged.returncode, unjudged.stderr.count("\n")) == (2, 1)
    assert "hold out some pictures, 0.1 or more, to judge epochs by" in unjudged.stderr
    many = clary("tune", picture_folder("few", per_class=8), "--space", "batch_size=4,512")
    assert many.returncode == 2
    assert "the range of batch_size goes up to 512, but there are" in many.stderr
    words = (*UNTRAINED, "--space", "batch_size=4,512", "--skip-check")
    unseen = clary("tune", tmp_path / "few", *words)
    assert unseen.returncode == 2
    assert unseen.stderr == many.stderr
    assert not (tmp_path / "home" / "state.sqlite").exists()
