"""The whole trip through the real commands: every verb and its options reach their program."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Clary


@pytest.mark.slow
def test_check_train_report_explain_predict_export_jobs(
    clary: Clary, picture_folder, tmp_path: Path
) -> None:
    photos = picture_folder("photos", splits={"train": 10, "valid": 4, "test": 4}, size=40)
    picture = next((photos / "test" / "class_1").iterdir())

    checked = clary("check", photos, "--json", "--quick", "--batch-size", "4", "--image-size=32")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert json.loads(checked.stdout)["classes"] == ["class_0", "class_1", "class_2"]

    trained = clary(
        *("train", photos, "--name", "one", "--model", "test_resnet", "--weights", "none"),
        *("--image-size", "32", "--batch-size", "5", "--epochs", "3", "--lr", "0.004"),
        *("--augmentation", "none", "--hidden", "16,8", "--no-feature-cache", "--no-report"),
    )
    assert trained.returncode == 0
    assert trained.stderr.startswith("Started the Clary service on 127.0.0.1:")
    assert trained.stderr.count("\n") == 1
    assert "epoch 3/3: train_loss=" in trained.stdout

    reported = clary("report", "one", "-o", "page.html")
    assert (reported.returncode, reported.stderr) == (0, "")
    assert "<html" in (tmp_path / "page.html").read_text()

    explained = clary("explain", "latest", picture, "-o", "map.png", "--class", "class_1")
    assert (explained.returncode, explained.stderr) == (0, "")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")

    predicted = clary("predict", "one", photos / "test", "--format", "csv", "--top", "1")
    assert (predicted.returncode, predicted.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(predicted.stdout)))
    assert len(rows) == 12

    exported = clary(
        *("export", "one", "--format", "torchscript", "-o", "one.pt", "--compare", picture)
    )
    assert exported.returncode == 0
    assert (tmp_path / "one.pt").stat().st_size > 0
    assert "on 7 pictures" in exported.stdout

    listed = clary("jobs")
    assert "one" in listed.stdout
    assert "Completed" in listed.stdout
    assert "Completed" in clary("jobs", "show", "one").stdout
    assert "epoch 3/3: train_loss=" in clary("jobs", "logs", "latest").stdout
    again = clary("train", "--resume", "one", "--epochs", "4", "--no-report", "--name", "two")
    assert again.returncode == 0
    compared = clary("jobs", "compare", "one", "two")
    rows = {line.split()[0]: line.split()[1:] for line in compared.stdout.splitlines()[1:]}
    assert rows["epochs"] == ["3", "4"]
    assert "lr" not in rows
    assert clary("jobs", "delete", "one").stdout == "one is deleted\n"
    assert clary("jobs", "show", "one").returncode == 2
