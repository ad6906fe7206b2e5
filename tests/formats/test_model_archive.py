from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.errors import FormatError, StorageError
from clary.formats import model_archive
from clary.formats.job_directory import JobDirectory
from clary.formats.model_archive import (
    Architecture,
    ModelDescription,
    locate_model,
    opened_model,
    pack_model,
    unpack_model,
)
from clary.formats.preprocessing import Preprocessing

NAMES = st.from_regex(r"[a-z0-9äé_-]{1,12}(\.[a-z]{1,4})?", fullmatch=True)
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=300), min_size=1
)


def described(**changes: object) -> ModelDescription:
    values = {
        "architecture": Architecture(name="resnet18"),
        "classes": ("ant", "bee"),
        "preprocessing": Preprocessing(),
        **changes,
    }
    return ModelDescription(**values)


def write_tree(root: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    written = {}
    for name, content in files.items():
        path = root / name
        if any(parent.is_file() for parent in path.parents) or path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written[name] = content
    return written


@given(files=FILES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_packed_is_unpacked(tmp_path_factory: pytest.TempPathFactory, files: dict) -> None:
    root = tmp_path_factory.mktemp("pack")
    written = write_tree(root / "in", files)
    pack_model(root / "in", root / "a.tar.gz")
    unpack_model(root / "a.tar.gz", root / "out")
    found = {
        path.relative_to(root / "out").as_posix(): path.read_bytes()
        for path in (root / "out").rglob("*")
        if path.is_file()
    }
    assert found == written


def test_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name, order in (("a", ("x", "y/z")), ("b", ("y/z", "x"))):
        for part in order:
            path = tmp_path / name / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(part)
    (tmp_path / "b" / "x").chmod(0o600)
    (tmp_path / "b" / ".x.abc.tmp").write_text("left by a kill")
    for name in "ab":
        pack_model(tmp_path / name, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def hostile(path: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    member.size = len(content)
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "a\\..\\evil"])
def test_no_path_leaves_the_folder(tmp_path: Path, name: str) -> None:
    archive = hostile(tmp_path / "m.tar.gz", tarfile.TarInfo(name), b"x")
    with pytest.raises(FormatError, match="leaves its folder"):
        unpack_model(archive, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(FormatError, match="no plain file"):
        unpack_model(hostile(tmp_path / "m.tar.gz", member), tmp_path / "out")


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        (21 << 30, FormatError, r"22,548,578,304 bytes or more unpacked, over the bound"),
        (-1, StorageError, r"bytes follow but [0-9,]+ are free"),
    ],
)
def test_an_archive_that_announces_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, error: type, words: str
) -> None:
    if size < 0:
        size = shutil.disk_usage(tmp_path).free + (1 << 40)
        monkeypatch.setattr(model_archive, "MAX_UNPACKED_BYTES", size)
    member = tarfile.TarInfo("model.safetensors")
    member.size = size
    with gzip.open(tmp_path / "m.tar.gz", "wb") as file:
        file.write(member.tobuf())
    with pytest.raises(error, match=words) as caught:
        unpack_model(tmp_path / "m.tar.gz", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_sizes_of_all_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "in", {"a": bytes(60), "b": bytes(60)})
    pack_model(tmp_path / "in", tmp_path / "m.tar.gz")
    monkeypatch.setattr(model_archive, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(FormatError, match="holds 120 bytes or more"):
        unpack_model(tmp_path / "m.tar.gz", tmp_path / "out")


def test_damaged_and_missing_archives_are_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "weights").write_bytes(bytes(range(256)) * 400)
    whole = tmp_path / "m.tar.gz"
    pack_model(tmp_path / "in", whole)
    content = whole.read_bytes()
    for number, broken in enumerate(
        (content[: len(content) // 2], b"no archive", b"", content[:20])
    ):
        path = tmp_path / f"broken{number}.tar.gz"
        path.write_bytes(broken)
        with pytest.raises(FormatError, match="cannot be unpacked"):
            unpack_model(path, tmp_path / f"out{number}")
    with pytest.raises(FormatError, match="there is no model archive"):
        unpack_model(tmp_path / "none.tar.gz", tmp_path / "out")
    with pytest.raises(FormatError, match="there is no model at"), opened_model(tmp_path / "none"):
        pass
    with pytest.raises(FormatError, match="no model to pack"):
        pack_model(tmp_path / "empty", whole)


def test_opened_archive_is_temporary(tmp_path: Path) -> None:
    described().write(tmp_path / "model")
    pack_model(tmp_path / "model", tmp_path / "model.tar.gz")
    with opened_model(tmp_path / "model.tar.gz") as folder:
        assert ModelDescription.read(folder) == described()
    assert not folder.exists()
    with opened_model(tmp_path / "model") as folder:
        assert folder == tmp_path / "model"


def test_later_versions_are_refused_and_earlier_ones_read(tmp_path: Path) -> None:
    described().write(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    del content["architecture"]["stem"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert ModelDescription.read(tmp_path).architecture.stem == "standard"
    (tmp_path / "model.json").write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(FormatError, match="newer Clary"):
        ModelDescription.read(tmp_path)
    (tmp_path / "model.json").write_text('{"version": 1}')
    with pytest.raises(FormatError, match="not the description of a model"):
        ModelDescription.read(tmp_path)


def test_a_model_is_found_wherever_a_person_points(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    folder, running, ended, bare = (jobs / name for name in ("folder", "run", "ended", "bare"))
    described().write(folder)
    described().write(JobDirectory(running).model)
    described().write(tmp_path / "m")
    pack_model(tmp_path / "m", JobDirectory(ended).archive)
    bare.mkdir()
    assert locate_model(str(folder), jobs) == folder
    assert locate_model("run", jobs) == running / "model"
    assert locate_model(str(running), jobs) == running / "model"
    assert locate_model("ended", jobs) == ended / "output" / "model.tar.gz"
    archive = ended / "output" / "model.tar.gz"
    assert locate_model(str(archive), jobs) == archive
    with pytest.raises(FormatError, match="has the training ended"):
        locate_model("bare", jobs)
    for text in ("nowhere", ""):
        with pytest.raises(FormatError, match="there is no model"):
            locate_model(text, jobs)
