"""Archives that anybody's tar reads, the same for the same files, and quick for weights."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.errors import StorageError
from clary.formats.tar_gz import GzipWriter, pack_files

NAMES = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"])
    ).filter(lambda name: name not in {"", ".", ".."} and len(name.encode()) < 100),
    min_size=1,
    max_size=3,
).map("/".join)


def read(archive: Path, mode: str = "r:gz") -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=5))
def test_any_files_come_back_and_give_the_same_bytes(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    sources = {}
    for name, content in files.items():
        source = tmp_path / hashlib.sha256(name.encode()).hexdigest()
        source.write_bytes(content)
        sources[name] = source
    pack_files(sources, tmp_path / "one.tar.gz")
    pack_files(dict(reversed(list(sources.items()))), tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert read(tmp_path / "one.tar.gz") == files


@given(parts=st.lists(st.tuples(st.binary(max_size=200_000), st.booleans()), max_size=8))
@settings(max_examples=40)
def test_stored_and_compressed_parts_are_one_stream(parts: list[tuple[bytes, bool]]) -> None:
    raw = io.BytesIO()
    zipped = GzipWriter(raw)
    for data, stored in parts:
        zipped.write(data, stored=stored)
    zipped.finish()
    assert gzip.decompress(raw.getvalue()) == b"".join(data for data, _ in parts)
    assert zipped.size == sum(len(data) for data, _ in parts)


def test_weights_are_stored_and_text_is_compressed(tmp_path: Path) -> None:
    files = {
        "code/script.py": b"print('the same line')\n" * 10_000,
        "model.safetensors": np.random.default_rng(0).normal(size=600_000).astype("<f4").tobytes(),
        "zeros.bin": bytes(3 << 20),
    }
    sources = {}
    for number, (name, content) in enumerate(files.items()):
        sources[name] = tmp_path / str(number)
        sources[name].write_bytes(content)
    archive = tmp_path / "model.tar.gz"
    pack_files(sources, archive)
    assert read(archive) == read(archive, "r|gz") == files
    # The weights lie there as they are, between the block's heads; the rest takes next to nothing.
    assert files["model.safetensors"][:60_000] in archive.read_bytes()
    assert archive.stat().st_size < len(files["model.safetensors"]) + 20_000
    listed = subprocess.run(["tar", "-tzf", str(archive)], capture_output=True, check=True)
    assert listed.stdout.decode().splitlines() == sorted(files)
    subprocess.run(["gzip", "-t", str(archive)], check=True)


def test_links_stay_links_and_a_lost_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("x")
    (tmp_path / "latest").symlink_to("m")
    archive = tmp_path / "a.tar.gz"
    pack_files({"m": tmp_path / "m", "latest": tmp_path / "latest"}, archive)
    with tarfile.open(archive) as tar:
        assert tar.getmember("latest").linkname == "m"
    with pytest.raises(StorageError, match=r"a\.tar\.gz cannot be written"):
        pack_files({"gone": tmp_path / "gone"}, archive)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["latest", "m"]
