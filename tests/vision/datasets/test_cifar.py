from __future__ import annotations

import os
import pickle
import pickletools
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import DataError
from clary.vision.datasets.cifar import BatchUnpickler


class Evil:
    """Runs a command when it is unpickled by anything careless."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("packed", [False, True])
def test_cifar_10_batches(cifar10, opened, tmp_path, protocol, packed):
    folder, images = cifar10(protocol=protocol)
    location = folder
    if packed:
        location = tmp_path / "cifar-10-python.tar.gz"
        with tarfile.open(location, "w:gz") as archive:
            archive.add(folder, folder.name)
    dataset = opened(location)
    assert dataset.layout == "CIFAR-10 batches"
    assert dataset.classes == ("zebra", "ant")
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 10,
        "valid": 2,
        "test": 6,
    }
    test = dataset.splits["test"]
    assert [test.source.name(index) for index in (0, 5)] == [
        "test_batch/test_batch_0.png",
        "test_batch/test_batch_5.png",
    ]
    assert list(test.labels) == [0, 1, 0, 1, 0, 1]
    assert all(np.array_equal(test.source.read(n), images[12 + n]) for n in range(6))
    whole = opened(location, valid_fraction=0)
    assert all(np.array_equal(whole.train.source.read(n), images[n]) for n in range(12))


def test_batches_as_python_2_wrote_them(cifar10, opened, tmp_path):
    """Python 2 wrote text as bytes (opcode U or T) and named numpy's old modules."""
    folder, images = cifar10()
    rows = images[:6].transpose(0, 3, 1, 2).reshape(6, -1)
    data = rows.tobytes()
    head = b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03"
    shape = b"cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x06M\x00\x0c\x86"
    kind = (
        b"cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff"
    )
    kind += b"\xff\xffK\x00tb\x89T" + len(data).to_bytes(4, "little")
    tail = b"tbU\x06labelsq\x08](K\x00K\x01K\x00K\x01K\x00K\x01eu."
    content = head + shape + kind + data + tail
    pickletools.dis(content, out=(tmp_path / "dis").open("w"))
    (folder / "data_batch_1").write_bytes(content)
    dataset = opened(folder, valid_fraction=0)
    assert all(np.array_equal(dataset.train.source.read(n), images[n]) for n in range(12))
    assert dataset.train.source.name(1) == "data_batch_1/00001"


def test_cifar_100_has_its_fine_classes(tmp_path, opened):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        batch = {
            b"data": rng.integers(0, 256, (30, 3072), dtype=np.uint8),
            b"fine_labels": [row % 3 for row in range(30)],
            b"coarse_labels": [0] * 30,
        }
        (folder / name).write_bytes(pickle.dumps(batch))
    meta = {b"fine_label_names": [b"apple", b"crab", b"bee"], b"coarse_label_names": [b"x"]}
    (folder / "meta").write_bytes(pickle.dumps(meta))
    dataset = opened(tmp_path / "cifar-100-python")
    assert dataset.layout == "CIFAR-100 batches"
    assert dataset.classes == ("apple", "crab", "bee")
    assert list(dataset.class_counts("test")) == [10, 10, 10]


def test_the_batches_are_turned_once(cifar10, opened, settings):
    folder, _ = cifar10()
    seen = []
    opened(folder, progress=lambda *report: seen.append(report))
    assert seen[0] == ("reading train batches", 1, 2)
    seen.clear()
    first = opened(folder, progress=lambda *report: seen.append(report)).train.fingerprint()
    assert not seen
    (folder / "data_batch_2").touch()
    assert opened(folder).train.fingerprint() != first
    assert len(list((settings.cache_dir / "cifar").iterdir())) == 2


def test_the_batches_are_in_the_order_of_their_numbers(cifar10, opened):
    folder, images = cifar10()
    (folder / "data_batch_2").rename(folder / "data_batch_10")
    dataset = opened(folder, valid_fraction=0)
    assert np.array_equal(dataset.train.source.read(6), images[6])


def test_classes_without_names_are_numbers(cifar10, opened):
    folder, _ = cifar10()
    (folder / "batches.meta").unlink()
    assert opened(folder).classes == ("0", "1")


def test_a_pickle_that_would_run_code_is_refused(cifar10, opened, tmp_path):
    folder, _ = cifar10()
    witness = tmp_path / "witness"
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": Evil(witness)}))
    with pytest.raises(DataError, match=r"it names (posix|nt)\.mkdir, which no batch needs"):
        opened(folder)
    assert not witness.exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "builtins getattr",
        "builtins __import__",
        "os system",
        "numpy load",
        "numpy.core.multiarray fromfile",
        "numpy.core.multiarray.x _reconstruct",
        "_codecs decode",
    ],
)
def test_only_arrays_and_plain_values_are_admitted(tmp_path, name):
    module, attribute = name.split()
    path = tmp_path / "x"
    path.write_bytes(f"c{module}\n{attribute}\n.".encode())
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError, match="no batch needs"):
        BatchUnpickler(file).load()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary() | st.text() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=8,
)


@given(PLAIN, st.integers(0, 5))
def test_plain_values_come_through(value, protocol):
    import io

    read = BatchUnpickler(io.BytesIO(pickle.dumps(value, protocol=protocol))).load()
    assert repr(read) == repr(value)


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        ([1, 2], "no CIFAR batch but a pickled list"),
        ({}, "no array `data`"),
        ({"data": np.zeros((4, 3072)), "labels": [0] * 4}, "no array `data` of bytes"),
        ({"data": np.zeros((4, 3000), np.uint8), "labels": [0] * 4}, "rows of 3000 bytes"),
        ({"data": np.zeros((4, 3072), np.uint8), "labels": [0] * 3}, "has no `labels`"),
        ({"data": np.zeros((4, 3072), np.uint8), "labels": ["a"] * 4}, "has no `labels`"),
        ({"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, -1]}, "has no `labels`"),
        ({"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 9]}, "batches.meta names 2"),
    ],
)
def test_what_is_wrong_with_a_batch_is_said(cifar10, opened, settings, batch, sentence):
    folder, _ = cifar10()
    (folder / "data_batch_2").write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match=sentence):
        opened(folder)
    assert not list((settings.cache_dir / "cifar").glob(".*"))


@pytest.mark.parametrize("name", ["data_batch_1", "batches.meta"])
def test_a_damaged_batch_is_named(cifar10, opened, name):
    folder, _ = cifar10()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{name} cannot be read as a CIFAR batch"):
        opened(folder)


def test_a_single_batch_is_no_data_set(cifar10, opened):
    folder, _ = cifar10()
    with pytest.raises(DataError, match="is one file of CIFAR: give its folder"):
        opened(folder / "data_batch_1")


@pytest.mark.real_data
def test_the_real_batches(cifar_batches, cifar_jpegs, opened):
    dataset = opened(cifar_batches / "cifar-10-batches-py")
    assert dataset.classes == opened(cifar_jpegs).classes
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 42_500,
        "valid": 7_500,
        "test": 10_000,
    }
    assert set(dataset.class_counts("valid")) == {750}
    import simplejpeg

    source = dataset.splits["test"].source
    label, stem = source.name(0).removeprefix("test_batch/").removesuffix(".png").split("_", 1)
    jpeg = (cifar_jpegs / "test" / label / f"{stem}.jpg").read_bytes()
    difference = np.abs(simplejpeg.decode_jpeg(jpeg).astype(int) - source.read(0)).max()
    assert difference <= 2


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_archive_gives_the_same_pictures(cifar_batches, opened):
    folder = opened(cifar_batches / "cifar-10-batches-py")
    archive = opened(cifar_batches / "cifar-10-python.tar.gz")
    assert archive.classes == folder.classes
    for index in (0, 21_000, 42_499):
        assert archive.train.source.name(index) == folder.train.source.name(index)
        assert np.array_equal(archive.train.source.read(index), folder.train.source.read(index))
