"""Three workflows on dog breeds, on real photos where they are, else on made ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.clients.environments import ClientEnvironment, awscli
from tests.clients.photos import few_of
from tests.conftest import SHARED, write_pictures
from tests.examples.conftest import RunExample

__all__ = ["awscli"]

# Networks of full size, on pictures that are not.
SMALL = {"IMAGE_SIZE": "64", "EPOCHS": "2", "MAX_JOBS": "2"}
REAL = SHARED.is_dir()

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def dog_images(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A few photos of each of twenty breeds, or pictures of three classes."""
    folder = tmp_path / "dogImages"
    if REAL:
        return few_of(request.getfixturevalue("dogs"), folder, train=6, valid=2, test=2)
    # Enough for rules that compare steps: three of them in an epoch, at the larger batch size.
    return write_pictures(folder, splits={"train": 16, "valid": 4, "test": 4})


def test_adamw_is_tuned_and_its_losses_are_plotted_by_phase(
    run_example: RunExample, dog_images: Path
) -> None:
    executed = run_example("dog_breeds_adamw", DOG_IMAGES=str(dog_images), **SMALL)
    assert re.search(r"'test loss': \d", executed.text)
    # The losses of three phases, and the photo that is asked about is a JPEG.
    assert executed.pictures == 1


def test_a_head_for_133_breeds_knows_photos_of_the_test_folder(
    run_example: RunExample, dog_images: Path, awscli: ClientEnvironment, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "aws").symlink_to(awscli.command("aws"))
    executed = run_example(
        "dog_breeds_head",
        DOG_IMAGES=str(dog_images),
        PATH=os.pathsep.join((str(programs), os.environ["PATH"])),
        **{**SMALL, "IMAGE_SIZE": "128", "EPOCHS": "3"},
    )
    count = len(list(dog_images.glob("*/*/*.jpg")))
    assert f"Total Objects: {count}" in executed.text
    found = re.search(r"right about (\d+) of (\d+) photos", executed.text)
    assert found is not None
    right, asked = map(int, found.groups())
    assert asked == len(list(dog_images.glob("test/*/*.jpg")))
    # Chance is one of twenty. Without the real photos there are no weights that know any, either.
    if REAL:
        assert right > asked / 4


def test_a_frozen_network_is_watched_from_inside(run_example: RunExample, dog_images: Path) -> None:
    executed = run_example("dog_breeds_frozen", DOG_IMAGES=str(dog_images), **SMALL)
    # Both losses, and the sizes of the gradients; the sample is a JPEG.
    assert executed.pictures == 2
    for rule in ("VanishingGradient", "Overfit", "Overtraining", "PoorWeightInitialization"):
        assert re.search(rf"^{rule}: (No)?IssuesFound", executed.text, re.MULTILINE)
