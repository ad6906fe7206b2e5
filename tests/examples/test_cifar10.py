"""Two workflows on CIFAR-10, from its pickled batches to an endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.examples.cifar import few_images
from tests.examples.conftest import RunExample

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def real_cifar(request: pytest.FixtureRequest) -> Path | None:
    """The folder around `cifar-10-batches-py`, where the real data is beside the checkout."""
    if not SHARED.exists():
        return None
    folder: Path = request.getfixturevalue("cifar_batches")
    return folder


def test_three_hyperparameters_are_tuned_and_arrays_are_answered(
    run_example: RunExample, real_cifar: Path | None, tmp_path: Path
) -> None:
    folder = few_images(real_cifar, tmp_path, train=800, test=200)
    executed = run_example("cifar10_resnet18", CIFAR10=str(folder), MAX_JOBS="2", MAX_EPOCHS="2")
    assert executed.pictures == 3
    assert "of 200 test images are recognised" in executed.text


def test_the_job_fetches_its_data_and_a_training_goes_on_from_earlier_weights(
    run_example: RunExample, real_cifar: Path | None, tmp_path: Path
) -> None:
    folder = few_images(real_cifar, tmp_path, train=300, test=200)
    executed = run_example("cifar10_resnet50", CIFAR10=str(folder), MAX_JOBS="2", EPOCHS="2")
    assert executed.pictures == 2
    assert "Going on from s3://" in executed.text
    assert "of 200 test images are recognised by the endpoint" in executed.text
