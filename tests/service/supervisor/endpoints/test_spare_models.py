"""Which models make room: those asked for longest ago, and no more of them than need be."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.service.supervisor.endpoints.spare_models import spare_models

ASKED = {"a": 3.0, "b": 1.0, "c": 2.0}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ASKED:
        (tmp_path / name / "code").mkdir(parents=True)
        (tmp_path / name / "code" / "inference.py").write_bytes(bytes(40_000))
        (tmp_path / name / "model.pth").write_bytes(bytes(60_000))
    return tmp_path


def spare(models: Path, limit_bytes: int, least_free_bytes: int = 0) -> list[str]:
    found = spare_models(
        models,
        limit_bytes=limit_bytes,
        least_free_bytes=least_free_bytes,
        last_asked=lambda folder: ASKED[folder.name],
    )
    return [folder.name for folder in found]


@pytest.mark.parametrize(
    ("limit_bytes", "names"),
    [(1_000_000, []), (250_000, ["b"]), (150_000, ["b", "c"]), (0, ["b", "c", "a"])],
)
def test_the_bound_of_all_of_them(models: Path, limit_bytes: int, names: list[str]) -> None:
    assert spare(models, limit_bytes) == names


def test_a_disk_that_is_nearly_full(models: Path) -> None:
    assert spare(models, 1_000_000, least_free_bytes=1 << 60) == ["b", "c", "a"]


def test_without_models_there_is_nothing_to_spare(tmp_path: Path) -> None:
    assert spare(tmp_path / "none", 0) == []
