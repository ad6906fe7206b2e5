from __future__ import annotations

from collections.abc import Iterator

import pytest

from clary.gpus import count_gpus, has_visible_gpu, visible_gpus


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("clary.gpus.count_gpus", lambda: 2)
    yield


def test_gpus_have_the_names_that_cuda_has_for_them(two_gpus: None) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1f, 3"}) == ["GPU-1f", "3"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0,-1,1"}) == ["0"]
    assert visible_gpus({}) == ["0", "1"]


def test_a_gpu_may_be_there_and_hidden(two_gpus: None) -> None:
    assert has_visible_gpu({})
    assert has_visible_gpu({"CUDA_VISIBLE_DEVICES": "1"})
    assert not has_visible_gpu({"CUDA_VISIBLE_DEVICES": ""})
    assert not has_visible_gpu({"CUDA_VISIBLE_DEVICES": "-1"})


@pytest.mark.skipif(count_gpus() > 0, reason="there is a GPU")
def test_a_name_makes_no_gpu() -> None:
    assert not has_visible_gpu({"CUDA_VISIBLE_DEVICES": "0"})
