"""CIFAR-10 with ResNet-50: data fetched by the job itself, weights that are trained further."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.cifar import few_images
from tests.examples.conftest import RunExample
from tests.examples.stages import STAGES


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_notebook_runs(
    run_example: RunExample, real_cifar: Path | None, tmp_path: Path
) -> None:
    folder = few_images(real_cifar, tmp_path, train=300, test=200)
    executed = run_example("cifar10_resnet50", CIFAR10=str(folder), MAX_JOBS="2", EPOCHS="2")
    assert set(executed.seconds) == set(STAGES)
    assert executed.pictures == 2
    assert "Going on from s3://" in executed.text
    assert "of 200 test images are recognised by the endpoint" in executed.text
