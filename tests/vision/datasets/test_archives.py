from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import DataError, StorageError
from clary.settings import Settings
from clary.vision.datasets import archives
from clary.vision.datasets.archives import safe_member, unpack
from clary.vision.datasets.prepared import built_once


def pack(folder, target):
    """Pack what a folder holds under the folder's name."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder.parent))
    else:
        mode = {".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}
        with tarfile.open(target, mode.get(target.suffix, "w")) as archive:
            archive.add(folder, folder.name)
    return target


def tar_of(path, *members):
    """A tar of (name, type, link target or content)."""
    with tarfile.open(path, "w") as archive:
        for name, kind, rest in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(rest)
                archive.addfile(member, io.BytesIO(rest))
            else:
                member.linkname = rest
                archive.addfile(member)
    return path


def zip_of(path, *members):
    """A zip of (name, Unix mode, content)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode, content in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return path


SUFFIXES = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_data_set_is_read_from_an_archive(classes, opened, tmp_path, settings, suffix):
    folder = classes(folder="pictures")
    archive = pack(folder, tmp_path / f"my.photos{suffix}")
    seen = []
    dataset = opened(archive, progress=lambda *report: seen.append(report))
    assert dataset.name == "my.photos"
    assert dataset.location == archive
    assert dataset.classes == ("a", "b")
    assert sum(map(len, dataset.splits.values())) == 8
    assert dataset.train.source.path(0).is_relative_to(settings.cache_dir)
    assert seen[-1][0] == f"unpacking {archive.name}"
    seen.clear()
    again = opened(archive, progress=lambda *report: seen.append(report))
    assert not seen
    assert again.train.fingerprint() == dataset.train.fingerprint()


def test_a_changed_archive_is_unpacked_anew(classes, opened, tmp_path):
    archive = pack(classes(4), tmp_path / "a.zip")
    first = opened(archive)
    status = archive.stat()
    pack(classes(4, "cd", "other"), archive)
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = opened(archive)
    assert (first.classes, second.classes) == (("a", "b"), ("c", "d"))
    assert first.train.source.read(0)


def test_a_manifest_inside_an_archive(files, opened, tmp_path):
    root = files(["1.png", "2.png"])
    (root / "labels.csv").write_text("path,label\n1.png,a\n2.png,b\n")
    archive = pack(root, tmp_path / "a.tar.gz")
    assert len(opened(archive, valid_fraction=0, test_fraction=0).train) == 2


def test_a_manifest_inside_an_archive_names_nothing_outside(files, opened, tmp_path):
    root = files(["1.png"])
    secret = files(["secret.png"], "elsewhere") / "secret.png"
    (root / "labels.csv").write_text(f"path,label\n1.png,a\n{secret},b\n")
    archive = pack(root, tmp_path / "a.zip")
    with pytest.raises(DataError, match="leads out of the archive"):
        opened(archive)


def test_a_folder_that_holds_one_archive_is_that_archive(classes, opened, tmp_path):
    (tmp_path / "training").mkdir()
    pack(classes(), tmp_path / "training" / "data.tgz")
    assert opened(tmp_path / "training").classes == ("a", "b")


def test_a_link_to_an_archive_is_that_archive(classes, opened, tmp_path):
    (tmp_path / "training").symlink_to(pack(classes(), tmp_path / "photos.zip"))
    dataset = opened(tmp_path / "training")
    assert (dataset.classes, dataset.name) == (("a", "b"), "photos")


def test_an_archive_in_an_archive_is_refused(classes, opened, tmp_path):
    (tmp_path / "outer").mkdir()
    pack(classes(), tmp_path / "outer" / "inner.zip")
    with pytest.raises(DataError, match="archive in an archive"):
        opened(pack(tmp_path / "outer", tmp_path / "outer.tar"))


LINK = stat.S_IFLNK | 0o777
FILE = stat.S_IFREG | 0o644


@pytest.mark.parametrize(
    "build",
    [
        lambda p: tar_of(p / "x.tar", ("../evil", tarfile.REGTYPE, b"x")),
        lambda p: tar_of(p / "x.tar", ("a/../../evil", tarfile.REGTYPE, b"x")),
        lambda p: tar_of(p / "x.tar", (str(p / "evil"), tarfile.REGTYPE, b"x")),
        lambda p: tar_of(p / "x.tar", ("a", tarfile.SYMTYPE, "/etc"), ("a/p", b"0", b"x")),
        lambda p: tar_of(p / "x.tar", ("a", tarfile.SYMTYPE, str(p))),
        lambda p: tar_of(p / "x.tar", ("d/a", tarfile.SYMTYPE, "../../evil")),
        lambda p: tar_of(p / "x.tar", ("a", tarfile.LNKTYPE, "../evil")),
        lambda p: tar_of(p / "x.tar", ("a", tarfile.CHRTYPE, "")),
        lambda p: tar_of(p / "x.tar", ("a", tarfile.FIFOTYPE, "")),
        lambda p: zip_of(p / "x.zip", ("../evil", FILE, b"x")),
        lambda p: zip_of(p / "x.zip", ("/evil", FILE, b"x")),
        lambda p: zip_of(p / "x.zip", ("a/../../evil", 0, b"x")),
        lambda p: zip_of(p / "x.zip", ("a", LINK, b"/etc/passwd")),
        lambda p: zip_of(p / "x.zip", ("a", LINK, b"../evil")),
        lambda p: zip_of(p / "x.zip", ("a", LINK, b"x" * 5000)),
        lambda p: zip_of(p / "x.zip", ("a", stat.S_IFIFO, b"")),
    ],
)
def test_what_leads_outside_is_refused_as_a_whole(tmp_path, settings, build):
    archive = build(tmp_path)
    with pytest.raises(DataError, match="it is not safe to unpack"):
        unpack(archive, settings)
    assert list((settings.cache_dir / "unpacked").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["home", archive.name])


def test_links_inside_become_copies(tmp_path, settings):
    archive = tar_of(
        tmp_path / "x.tar",
        ("d/first", tarfile.REGTYPE, b"one"),
        ("d/second", tarfile.SYMTYPE, "../d/first"),
        ("third", tarfile.LNKTYPE, "d/first"),
        ("loop", tarfile.SYMTYPE, "loop"),
        ("folder", tarfile.SYMTYPE, "d"),
    )
    folder = unpack(archive, settings)
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if not p.is_dir()}
    assert {name: path.read_bytes() for name, path in found.items()} == dict.fromkeys(
        ["d/first", "d/second", "third"], b"one"
    )
    assert not any(path.is_symlink() for path in found.values())
    archive = zip_of(tmp_path / "x.zip", ("d/1", FILE, b"one"), ("2", LINK, b"d/1"))
    assert (unpack(archive, settings) / "2").read_bytes() == b"one"


@given(st.text(st.sampled_from("ab./\\\0: "), max_size=12))
def test_a_member_name_is_refused_or_stays_inside(name):
    try:
        safe = safe_member(name)
    except ValueError:
        assert name.startswith("/") or ".." in name or "\0" in name
        return
    root = Path("/target")
    assert Path(os.path.normpath(root / safe)).is_relative_to(root)
    assert "\0" not in safe


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar"])
@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04" + b"\0" * 60])
def test_what_is_no_archive_is_said(tmp_path, opened, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|no archive"):
        opened(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("where", [0.5, 0.9])
def test_an_archive_cut_short_is_said_and_leaves_nothing(
    classes, opened, tmp_path, settings, suffix, where
):
    archive = pack(classes(50), tmp_path / f"x{suffix}")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * where)])
    with pytest.raises(DataError, match=r"damaged|no archive"):
        opened(archive)
    assert list((settings.cache_dir / "unpacked").iterdir()) == []


def test_a_damaged_member_is_said(classes, opened, tmp_path):
    archive = pack(classes(), tmp_path / "x.zip")
    content = bytearray(archive.read_bytes())
    at = content.index(b"IHDR")
    content[at] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*CRC"):
        opened(archive)
    archive = pack(classes(folder="big"), tmp_path / "y.tar.gz")
    content = bytearray(gzip.decompress(archive.read_bytes()))
    packed = bytearray(gzip.compress(bytes(content)))
    packed[-6] ^= 1
    archive.write_bytes(packed)
    with pytest.raises(DataError, match="damaged"):
        opened(archive)


def test_an_encrypted_zip_is_said(tmp_path, opened):
    archive = zip_of(tmp_path / "x.zip", ("a/1.png", FILE, b"x"))
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be unpacked here .*password"):
        opened(archive)


def test_an_archive_larger_than_the_disk_is_refused_before_it_is_unpacked(tmp_path, opened):
    archive = zip_of(tmp_path / "x.zip", ("a/1.png", FILE, b"x" * 100))
    content = archive.read_bytes()
    # The directory's claim of the unpacked size: nearly 4 GB, in each of many members.
    at = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = bytearray(content[at:end])
    entry[24:28] = b"\xf0\xff\xff\xff"
    tail = bytearray(content[end:])
    count = 60_000
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = (len(entry) * count).to_bytes(4, "little")
    archive.write_bytes(content[:at] + bytes(entry) * count + bytes(tail))
    with pytest.raises(StorageError, match="GB free: free some space"):
        opened(archive)


def test_a_tar_that_fills_the_disk_is_stopped(tmp_path, settings, monkeypatch):
    # The real disk is too large to fill: the reserve is set to more than it has.
    monkeypatch.setattr(archives, "_RESERVE_BYTES", 1 << 60)
    monkeypatch.setattr(archives, "_SPACE_CHECK_BYTES", 1 << 20)
    archive = tar_of(tmp_path / "x.tar", ("a", tarfile.REGTYPE, bytes(3 << 20)))
    with pytest.raises(StorageError, match="more to be unpacked"):
        unpack(archive, settings)
    assert list((settings.cache_dir / "unpacked").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_said(classes, tmp_path):
    archive = pack(classes(), tmp_path / "x.zip")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        unpack(archive, Settings(home=tmp_path / "file"))


def test_a_prepared_folder_is_whole_or_absent(tmp_path):
    target = tmp_path / "cache" / "key"

    def fail(folder):
        (folder / "half").write_text("")
        raise DataError("no")

    with pytest.raises(DataError):
        built_once(target, fail)
    assert list(target.parent.iterdir()) == []

    def build_while_another_finishes(folder):
        # Without the lock, as on a disk that several machines share.
        (folder / "mine").write_text("")
        target.mkdir()
        (target / "theirs").write_text("")

    assert built_once(target, build_while_another_finishes) == target
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert [path.name for path in target.parent.iterdir()] == ["key"]


def test_several_at_once_build_once(tmp_path):
    target = tmp_path / "cache" / "key"
    program = f"""
import pathlib, time
from clary.vision.datasets.prepared import built_once
def build(folder):
    with open({str(tmp_path / "built")!r}, "a") as log:
        log.write("x")
    time.sleep(1)
    (folder / "whole").write_text("")
print([path.name for path in built_once(pathlib.Path({str(target)!r}), build).iterdir()])
"""
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate()[0] for process in running] == ["['whole']\n"] * 3
    assert (tmp_path / "built").read_text() == "x"
    assert [path.name for path in target.parent.iterdir()] == ["key"]


def test_an_archive_that_cannot_be_read_is_no_fault_of_the_cache(classes, tmp_path, settings):
    class FailingDisk(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    archive = pack(classes(), tmp_path / "x.zip")
    writer = archives._MemberWriter(archive, tmp_path, 0, None)
    with pytest.raises(DataError, match=r"x\.zip cannot be read \(Input/output error\)"):
        writer.write("a", FailingDisk())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        writer.write("file/a", io.BytesIO(b"1"))


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    old, young = tmp_path / ".unfinished-1", tmp_path / ".unfinished-2"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    built_once(tmp_path / "key", lambda folder: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unfinished-2", "key"]
