"""CIFAR-10 with ResNet-18, from its pickled batches to an endpoint."""

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
    folder = few_images(real_cifar, tmp_path, train=800, test=200)
    executed = run_example("cifar10_resnet18", CIFAR10=str(folder), MAX_JOBS="2", MAX_EPOCHS="2")
    assert set(executed.seconds) == set(STAGES)
    assert executed.pictures == 3
    assert "of 200 test images are recognised" in executed.text
