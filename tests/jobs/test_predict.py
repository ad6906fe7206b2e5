from __future__ import annotations

import csv
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from clary.errors import DataError, UnreadablePicture
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import ModelDescription, pack_model
from clary.jobs import picture_inputs
from clary.jobs.picture_inputs import find_pictures
from clary.vision.models import build_classifier, save_model

CLASSES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLARY_HOME with a job `first` that left a model."""
    home = tmp_path_factory.mktemp("home")
    classifier, preprocessing, _ = build_classifier(
        "resnet18", CLASSES, weights="none", image_size=32
    )
    description = ModelDescription(
        architecture=classifier.architecture, classes=CLASSES, preprocessing=preprocessing
    )
    job = JobDirectory(home / "jobs" / "first")
    save_model(home / "model", classifier, description)
    pack_model(home / "model", job.archive)
    return home


def run(
    home: Path, *arguments: str, stdin: bytes = b"", program: str = "predict"
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", f"clary.jobs.{program}", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "CLARY_HOME": str(home)},
    )


def test_a_folder_as_json_from_a_job_name(home: Path, picture_folder) -> None:
    folder = picture_folder(classes=2, per_class=2)
    (folder / "class_0" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (folder / "class_0" / "notes.txt").write_text("no picture")
    done = run(home, "first", str(folder), "--format", "json")
    rows = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert [Path(row["picture"]).name for row in rows] == [
        "0001.jpg",
        "0002.jpg",
        "cut.jpg",
        "0003.jpg",
        "0004.jpg",
    ]
    assert "cut.jpg" in rows[2]["error"]
    for row in (rows[0], rows[4]):
        assert set(row["probabilities"]) == set(CLASSES)
        assert row["probability"] == max(row["probabilities"].values())
        assert row["class"] == max(row["probabilities"], key=row["probabilities"].get)


def test_table_and_csv(home: Path, picture_folder) -> None:
    folder = picture_folder(classes=1, per_class=2)
    paths = sorted(str(path) for path in folder.rglob("*.jpg"))
    table = run(home, str(home / "model"), *paths, str(folder / "none.png"))
    lines = table.stdout.decode().splitlines()
    assert table.returncode == 1
    assert lines[0].split() == ["picture", "class", "probability", "runner-up"]
    assert lines[1].count("%") == 2
    assert "cannot be read" in lines[3]
    assert "1 picture could not be read" in table.stderr.decode()
    done = run(home, str(home / "jobs" / "first"), *paths, "--format", "csv", "--top", "3")
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert done.returncode == 0
    assert [row["picture"] for row in rows] == paths
    total = sum(float(rows[0][name]) for name in ("probability", "probability_2", "probability_3"))
    assert total == pytest.approx(1, abs=1e-4)


def test_mistakes_end_in_one_sentence(home: Path) -> None:
    missing = run(home, "nowhere", "x.jpg")
    assert missing.returncode == 1
    assert missing.stderr.decode().startswith("clary: there is no model 'nowhere'")
    assert missing.stderr.count(b"\n") == 1
    wrong = run(home, "first", "x.jpg", "--top", "0")
    assert wrong.returncode == 2
    assert b"--top is 0" in wrong.stderr


def test_export_says_what_it_wrote_and_how_to_use_it(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.pt"
    arguments = ("first", "--format", "torchscript", "--output", str(output))
    done = run(home, *arguments, program="export")
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert str(output) in text
    assert "parity: probabilities differ by" in text
    assert "ant, bee, cat" in text
    usage = [line.strip() for line in text.split("use it:\n")[1].splitlines()]
    assert len(usage) == 3
    picture = tmp_path / "picture.jpg"
    make = f"import PIL.Image; PIL.Image.new('RGB', (50, 40)).save({str(picture)!r})"
    script = "\n".join([make, *usage])
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True)


def found(inputs: list[str], stdin: bytes = b"") -> list[object]:
    return list(find_pictures(inputs, io.BytesIO(stdin), lambda name, content: (name, content)))


def test_stdin_is_a_picture_or_a_list(picture_folder) -> None:
    paths = sorted(str(path) for path in picture_folder(classes=1, per_class=2).rglob("*.jpg"))
    content = Path(paths[0]).read_bytes()
    assert found(["-"], content) == [("stdin", content)]
    listed = "\n".join(["", *paths, ""]).encode()
    assert found(["-"], listed) == paths
    assert found(["-"], b"BMW/1.jpg\nb.png") == ["BMW/1.jpg", "b.png"]
    ((_, error),) = found(["-"])
    assert isinstance(error, DataError)
    ((_, error),) = found(["-"], b"\x80\x81" * 20)
    assert isinstance(error, UnreadablePicture)


def test_folders_are_walked_sorted_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpg", "a.jpeg", ".hidden/x.jpg", "b/.x.jpg", "b/readme.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert found([str(tmp_path)]) == [
        str(tmp_path / name) for name in ("a.jpeg", "b/1.jpg", "b/2.PNG")
    ]
    (tmp_path / "empty").mkdir()
    ((name, error),) = found([str(tmp_path / "empty")])
    assert isinstance(error, DataError)
    assert "holds no pictures" in str(error)
    assert name == str(tmp_path / "empty")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a server that serves `tmp_path`."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_addresses_are_fetched_within_limits(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"content")
    assert found([f"{address}/a.jpg"]) == [(f"{address}/a.jpg", b"content")]
    ((_, error),) = found([f"{address}/none.jpg"])
    assert "cannot be fetched" in str(error)
    ((_, error),) = found(["http://127.0.0.1:1/x.jpg"])
    assert "cannot be fetched" in str(error)
    monkeypatch.setattr(picture_inputs, "URL_BYTES", 3)
    ((_, error),) = found([f"{address}/a.jpg"])
    assert "fetch it to a file first" in str(error)
