"""Ants and bees with version 3 of the SageMaker SDK, and with Clary's own, in a fifth of the lines.

On real photos and weights where they are, else on made pictures and random weights.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients.environments import ClientEnvironment
from tests.conftest import SHARED, write_pictures
from tests.examples.conftest import EXAMPLES, RunExample
from tests.examples.notebooks import Notebook

REAL = SHARED.is_dir()
STATUS = r"'(NoIssuesFound|IssuesFound)'"


@pytest.fixture
def photos(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Photos of ants and bees, or pictures of two classes that can be told apart."""
    if REAL:
        folder: Path = request.getfixturevalue("hymenoptera")
        return folder
    return write_pictures(tmp_path / "made", classes=2, splits={"train": 24, "val": 6})


def right(executed: Notebook) -> tuple[int, int]:
    """How many photos the endpoint was right about, and how many it was asked about."""
    found = re.search(r"right about (\d+) of (\d+) photos", executed.text)
    assert found is not None
    return int(found[1]), int(found[2])


def require_verdicts(executed: Notebook) -> None:
    """Each rule has one, the losses of both phases are there, and so is the profiler's page."""
    for rule in ("LossNotDecreasing", "Overfit", "Overtraining"):
        assert re.search(rf"'{rule}': {STATUS}", executed.text)
    assert len(re.findall(r"^\w+: \d+ losses, from \d", executed.text, re.MULTILINE)) == 2
    assert (executed.path.parent / "profiler-report.html").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_trainer_and_a_model_builder(
    run_example: RunExample, sagemaker3: ClientEnvironment, photos: Path
) -> None:
    executed = run_example(
        "model_trainer",
        client=sagemaker3,
        HYMENOPTERA=str(photos),
        IMAGE_SIZE="128",
        PER_CLASS="24",
        EPOCHS="4",  # LossNotDecreasing judges no fewer than ten steps
        MAX_JOBS="2",
    )
    require_verdicts(executed)
    assert executed.pictures == 1
    count, asked = right(executed)
    assert asked == (24 if REAL else 12)
    # Weights that know no photos are right by chance alone.
    if REAL:
        assert count > asked / 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_with_clarys_own_sdk(
    run_example: RunExample, own_kernel: ClientEnvironment, photos: Path
) -> None:
    weights = str(SHARED / "weights" / "mobilenet_v2.pth") if REAL else "none"
    network = "mobilenetv2_100" if REAL else "test_resnet"
    executed = run_example(
        "clary_sdk",
        client=own_kernel,
        HYMENOPTERA=str(photos),
        MODEL=network,
        WEIGHTS=weights,
    )
    require_verdicts(executed)
    count, asked = right(executed)
    assert asked == len(list(photos.glob("val/*/*.jpg")))
    if REAL:
        assert count > 0.85 * asked


def test_the_own_sdk_takes_a_fifth_of_the_lines() -> None:
    theirs, own = lines_of("model_trainer"), lines_of("clary_sdk")
    assert 5 * own <= theirs, (own, theirs)


def lines_of(folder: str) -> int:
    """Lines of code in an example's notebook and scripts, without comments and docstrings."""
    notebook = Notebook(EXAMPLES / folder / "train_and_deploy.ipynb")
    texts = ["".join(cell["source"]) for cell in notebook.code]
    texts += [file.read_text() for file in (EXAMPLES / folder).rglob("*.py")]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return sum(bool(line) and not line.startswith(("#", '"""')) for line in lines)
