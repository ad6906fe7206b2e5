from __future__ import annotations

import contextlib
import csv
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from clary.errors import DataError, UnreadablePicture
from clary.formats import picture_inputs
from clary.formats.converted_model import ConvertedModel
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import ModelDescription, pack_model
from clary.formats.picture_inputs import find_pictures
from clary.jobs.export import main as export
from clary.jobs.predict import main as predict
from clary.jobs.program import exit_code
from clary.vision.datasets.listing import PICTURE_EXTENSIONS
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


def test_a_folder_as_json_from_a_job_name(home: Path, picture_folder) -> None:
    folder = picture_folder(classes=2, per_class=2)
    (folder / "class_0" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (folder / "class_0" / "notes.txt").write_text("no picture")
    done = subprocess.run(
        [sys.executable, "-m", "clary.jobs.predict", "first", str(folder), "--format", "json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, "CLARY_HOME": str(home)},
    )
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


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same home for a program that runs in this process, without another load of torch."""
    monkeypatch.setenv("CLARY_HOME", str(home))
    return home


def test_table_and_csv(here: Path, picture_folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder = picture_folder(classes=1, per_class=2)
    paths = sorted(str(path) for path in folder.rglob("*.jpg"))
    assert exit_code(predict, [str(here / "model"), *paths, str(folder / "none.png")]) == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split() == ["picture", "class", "probability", "runner-up"]
    assert lines[1].count("%") == 2
    assert "cannot be read" in lines[3]
    assert "1 picture could not be read" in said.err
    job = str(here / "jobs" / "first")
    assert exit_code(predict, [job, *paths, "--format", "csv", "--top", "3"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["picture"] for row in rows] == paths
    total = sum(float(rows[0][name]) for name in ("probability", "probability_2", "probability_3"))
    assert total == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def converted(home: Path) -> ConvertedModel:
    """The converted network of the home's model."""
    done = subprocess.run(
        [sys.executable, "-m", "clary.jobs.convert", str(home / "model")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CLARY_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return ConvertedModel.of(home / "model", home / "cache")


def asked(home: Path, *arguments: str) -> tuple[list[dict[str, str]], list[str], str]:
    """The rows, which of torch and OpenVINO was loaded, and what was said."""
    script = (
        "import sys; from clary.jobs.predict import main; code = main(sys.argv[1:])\n"
        "print(*(one for one in ('torch', 'openvino') if one in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--format=csv"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CLARY_HOME": str(home), "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    *rows, loaded = done.stdout.splitlines()
    return list(csv.DictReader(rows)), loaded.split(), done.stderr


def test_a_converted_network_answers_alike_without_torch(
    home: Path, converted: ConvertedModel, picture_folder
) -> None:
    arguments = [str(home / "model"), str(picture_folder(classes=2, per_class=3)), "--top=3"]
    quick, loaded, said = asked(home, *arguments, "--batch-size=4")
    assert (len(quick), loaded, said) == (6, ["openvino"], "")
    converted.network("fp32").rename(converted.folder / "aside")
    try:
        exact, loaded, _ = asked(home, *arguments)
    finally:
        (converted.folder / "aside").rename(converted.network("fp32"))
    assert "torch" in loaded
    assert [row["picture"] for row in quick] == [row["picture"] for row in exact]
    for one, other in zip(quick, exact, strict=True):
        assert one["class"] == other["class"]
        for name in ("probability", "probability_2", "probability_3"):
            assert float(one[name]) == pytest.approx(float(other[name]), abs=1e-4)


def test_where_the_converted_network_is_damaged_the_model_answers(
    home: Path, converted: ConvertedModel, picture_folder
) -> None:
    whole = converted.network("fp32").read_bytes()
    converted.network("fp32").write_bytes(whole[:100])
    try:
        pictures = str(picture_folder(classes=1, per_class=1))
        rows, loaded, said = asked(home, str(home / "model"), pictures)
    finally:
        converted.network("fp32").write_bytes(whole)
    assert len(rows) == 1
    assert "torch" in loaded
    assert "delete its folder" in said
    assert said.endswith("the model itself answers now\n")


def test_mistakes_end_in_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(predict, ["nowhere", "x.jpg"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("clary: there is no model 'nowhere'")
    assert said.count("\n") == 1
    assert exit_code(predict, ["first", "x.jpg", "--top", "0"]) == 2
    assert "--top is 0" in capsys.readouterr().err


def test_export_says_what_it_wrote_and_how_to_use_it(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.pt"
    arguments = ("first", "--format", "torchscript", "--output", str(output))
    assert exit_code(export, arguments) == 0
    text = capsys.readouterr().out
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
    for name in ("b/2.PNG", "b/1.jpg", "a.jpe", ".hidden/x.jpg", "b/.x.jpg", "b/readme.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert found([str(tmp_path)]) == [
        str(tmp_path / name) for name in ("a.jpe", "b/1.jpg", "b/2.PNG")
    ]
    (tmp_path / "empty").mkdir()
    ((name, error),) = found([str(tmp_path / "empty")])
    assert isinstance(error, DataError)
    assert "holds no pictures" in str(error)
    assert name == str(tmp_path / "empty")


def test_every_extension_of_a_data_set_is_predicted(tmp_path: Path) -> None:
    for ending in PICTURE_EXTENSIONS:
        (tmp_path / f"1{ending}").touch()
    assert len(found([str(tmp_path)])) == len(PICTURE_EXTENSIONS) >= 10


def test_a_subfolder_that_cannot_be_read_has_a_row(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    (tmp_path / "b").mkdir()
    walk = find_pictures([str(tmp_path)], io.BytesIO(), lambda name, content: (name, content))
    assert next(walk) == str(tmp_path / "a" / "1.jpg")
    (tmp_path / "b").rmdir()
    ((name, error),) = walk
    assert name == str(tmp_path / "b")
    assert isinstance(error, DataError)
    assert "b cannot be read: No such file" in str(error)


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


def test_an_address_may_hold_a_space_and_a_bad_one_is_a_row(tmp_path: Path, address: str) -> None:
    (tmp_path / "été 1.jpg").write_bytes(b"content")
    for name in ("été 1.jpg", "%C3%A9t%C3%A9%201.jpg?size=a b"):
        assert found([f"{address}/{name}"]) == [(f"{address}/{name}", b"content")]
    for bad in ("http://[::1/a.jpg", "http://a b/1.jpg", "http://127.0.0.1:port/1.jpg"):
        ((_, error),) = found([bad])
        assert "cannot be fetched" in str(error)


@pytest.fixture
def raw_address() -> Iterator[Callable[[Iterable[bytes]], str]]:
    """A function that starts a server which sends what it is given, and ends the connection."""
    with contextlib.ExitStack() as stack:

        def serve(parts: Iterable[bytes]) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer() -> None:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(ConnectionError):
                    connection.recv(4096)
                    for part in parts:
                        connection.sendall(part)

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join)
            return f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg"

        yield serve


def test_broken_and_dripping_answers_are_rows(raw_address, monkeypatch) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"
    ((_, error),) = found([raw_address([b"nonsense\r\n\r\n"])])
    assert "cannot be fetched" in str(error)
    ((_, error),) = found([raw_address([start, b"abc"])])
    assert "ended after 3 bytes, 9,997 are missing" in str(error)
    monkeypatch.setattr(picture_inputs, "URL_TOTAL_SECONDS", 0.2)

    def drip() -> Iterator[bytes]:
        yield start
        for _ in range(100):
            time.sleep(0.02)
            yield b"."

    ((_, error),) = found([raw_address(drip())])
    assert "is not there after 0 s" in str(error)
