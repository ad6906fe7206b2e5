from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from clary.errors import DataError, UnreadablePicture, UsageError
from clary.vision.datasets import FileSource, Skipped

READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from clary.errors import DataError
from clary.settings import Settings
from clary.vision.datasets import open_dataset
if os.geteuid() == 0:
    os.setuid(65534)
try:
    open_dataset(sys.argv[1], settings=Settings(home=Path(sys.argv[1])))
except DataError as error:
    print(error)
"""


def names(split):
    return [split.source.relative_name(index) for index in range(len(split))]


def test_a_folder_per_class_is_cut_into_splits(classes, opened):
    dataset = opened(classes(20))
    assert dataset.classes == ("a", "b")
    assert dataset.made_splits == ("valid", "test")
    assert list(dataset.splits) == ["train", "valid", "test"]
    assert {name: list(dataset.class_counts(name)) for name in dataset.splits} == {
        "train": [14, 14],
        "valid": [3, 3],
        "test": [3, 3],
    }
    together = sorted(name for split in dataset.splits.values() for name in names(split))
    assert together == sorted(f"{c}/{n}.png" for c in "ab" for n in range(20))
    for split in dataset.splits.values():
        assert [name[0] for name in names(split)] == [dataset.classes[k] for k in split.labels]


@pytest.mark.parametrize("valid", ["valid", "val", "validation", "Validation"])
def test_split_folders_under_their_usual_names(files, opened, valid):
    parts = ["train", valid, "test"]
    root = files([f"{s}/{c}/{n}.jpg" for s in parts for c in ("001.Dog", "2") for n in range(2)])
    dataset = opened(root)
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 4,
        "valid": 4,
        "test": 4,
    }
    assert dataset.classes == ("001.Dog", "2")
    assert dataset.made_splits == ()


def test_only_valid_is_cut_beside_a_found_test(files, opened):
    root = files([f"{s}/{c}/{n}.jpg" for s in ("train", "test") for c in "ab" for n in range(10)])
    dataset = opened(root)
    assert dataset.made_splits == ("valid",)
    assert [len(dataset.splits[name]) for name in ("train", "valid", "test")] == [16, 4, 20]


def test_numbers_as_class_names_are_in_their_order(files, opened):
    root = files([f"{number}/{n}.png" for number in range(11) for n in range(3)])
    assert opened(root).classes == tuple(str(number) for number in range(11))


def test_names_keep_their_characters(files, opened):
    root = files([f"{c}/{n} é.JPEG" for c in ("Äpfel", "梨 🍐") for n in range(3)])
    dataset = opened(root, valid_fraction=0, test_fraction=0)
    assert dataset.classes == ("Äpfel", "梨 🍐")
    assert len(dataset.train) == 6
    assert dataset.train.source.read(0) == (root / "Äpfel" / "0 é.JPEG").read_bytes()
    dataset.train.fingerprint()


def test_what_is_no_picture_is_left_out_and_named(classes, opened):
    root = classes()
    (root / ".ipynb_checkpoints").mkdir()
    (root / ".ipynb_checkpoints" / "0.png").write_bytes(b"")
    (root / "a" / "notes.TXT").write_text("")
    (root / "a" / "stray.gif").write_bytes(b"")
    (root / "a" / "._0.png").write_bytes(b"")
    (root / "a" / ".DS_Store").write_bytes(b"")
    (root / "a" / "__MACOSX").mkdir()
    (root / "b" / "gone.png").symlink_to(root / "nowhere")
    (root / "b" / "itself.png").symlink_to("itself.png")
    (root / "b" / "noextension").write_bytes(b"")
    os.mkfifo(root / "b" / "pipe.png")
    (root / "loose.png").write_bytes(b"")
    (root / "c").mkdir()
    dataset = opened(root)
    assert set(dataset.skipped) == {
        Skipped(".ipynb_checkpoints/", "hidden folder with 1 picture"),
        Skipped("a/notes.TXT", "unsupported type .txt"),
        Skipped("a/stray.gif", "unsupported type .gif"),
        Skipped("a/._0.png", "hidden file"),
        Skipped("a/__MACOSX/", "hidden folder"),
        Skipped("b/gone.png", "a broken link"),
        Skipped("b/itself.png", "a broken link"),
        Skipped("b/noextension", "no file extension"),
        Skipped("b/pipe.png", "not a regular file"),
        Skipped("loose.png", "a picture outside of any class folder"),
    }
    assert dataset.empty_classes == ("c",)
    assert dataset.classes == ("a", "b")
    assert sum(map(len, dataset.splits.values())) == 8


def test_beside_split_folders_everything_else_is_named(files, opened):
    root = files(
        [f"{s}/{c}/{n}.jpg" for s in ("train", "val") for c in "ab" for n in range(2)]
        + ["test/1.jpg", "extra/x.jpg", ".git/x.jpg", "cover.jpg", "train/loose.jpg"]
    )
    (root / "labels.txt").write_text("")
    assert set(opened(root).skipped) == {
        Skipped("test/", "a split without class folders"),
        Skipped("extra/", "a folder beside train/ that is no split"),
        Skipped(".git/", "hidden folder with 1 picture"),
        Skipped("cover.jpg", "a picture outside of any class folder"),
        Skipped("train/loose.jpg", "a picture outside of any class folder"),
        Skipped("labels.txt", "unsupported type .txt"),
    }


def test_an_empty_split_is_cut_instead(files, opened):
    root = files([f"train/{c}/{n}.jpg" for c in "ab" for n in range(10)])
    (root / "valid" / "a").mkdir(parents=True)
    dataset = opened(root)
    assert dataset.made_splits == ("valid", "test")
    assert Skipped("valid/", "holds no pictures") in dataset.skipped


def test_the_class_map_is_that_of_train(files, opened):
    root = files(
        [f"train/{c}/{n}.jpg" for c in "ac" for n in range(3)]
        + [f"valid/{c}/{n}.jpg" for c in "abc" for n in range(2)]
    )
    (root / "train" / "b").mkdir()
    dataset = opened(root)
    assert dataset.classes == ("a", "c")
    assert dataset.unknown_classes == {"valid": {"b": 2}}
    assert dataset.empty_classes == ("b",)
    assert names(dataset.splits["valid"]) == [f"valid/{c}/{n}.jpg" for c in "ac" for n in range(2)]
    assert list(dataset.splits["valid"].labels) == [0, 0, 1, 1]


def test_a_folder_called_train_can_be_a_class(files, opened):
    assert opened(files([f"{c}/{n}.jpg" for c in ("bus", "train") for n in range(3)])).classes == (
        "bus",
        "train",
    )


@pytest.mark.parametrize("others", [["validation"], ["test"], ["test", "logs"], ["val", "cats"]])
def test_splits_with_loose_pictures_are_not_classes(files, opened, others):
    root = files([f"{folder}/{n}.png" for folder in ("train", *others) for n in range(4)])
    if "logs" in others:
        for picture in (root / "logs").iterdir():
            picture.rename(picture.with_suffix(".txt"))
    words = " and ".join(f"{word}/" for word in sorted(["train", others[0]]))
    with pytest.raises(DataError, match=f"{words} without class folders"):
        opened(root)


def test_a_class_name_that_is_no_text_is_marked(tmp_path, files, opened):
    root = files(["caf/1.png", "caf/2.png", "tea/1.png", "tea/2.png"])
    (root / "caf").rename(os.fsdecode(os.fsencode(root) + b"/caf\xe9"))
    dataset = opened(root, valid_fraction=0, test_fraction=0)
    assert dataset.classes == ("caf\ufffd", "tea")
    assert list(dataset.class_counts("train")) == [2, 2]
    assert dataset.train.source.read(0)
    (root / "tea").rename(os.fsdecode(os.fsencode(root) + b"/caf\xe8"))
    with pytest.raises(DataError, match="two classes are called caf\ufffd"):
        opened(root)


def test_a_wrapper_folder_is_opened(files, opened):
    inner = files([f"{s}/{c}/{n}.png" for s in ("train", "val") for c in "ab" for n in range(3)])
    outer = inner.parent / "outer"
    outer.mkdir()
    inner.rename(outer / "dogImages")
    (outer / "README.md").write_text("")
    (outer / "__MACOSX").mkdir()
    dataset = opened(outer)
    assert dataset.name == "outer"
    assert dataset.layout == "a folder per split and class"
    assert len(dataset.train) == 6


def test_pictures_deeper_down_belong_to_the_class(files, opened):
    root = files([f"{c}/2024/0{m}/{n}.png" for c in "ab" for m in (1, 2) for n in range(2)])
    assert sum(map(len, opened(root).splits.values())) == 8


def test_links_back_up_end(classes, opened):
    root = classes()
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "here").symlink_to(".")
    dataset = opened(root)
    skipped = {skip.name: skip.reason for skip in dataset.skipped}
    assert skipped["b/here/"] == "a link to a folder above it"
    # Through a/up the tree is seen once more, and no further.
    assert skipped["a/up/a/"] == "a link to a folder above it"


def test_a_wrapper_that_holds_itself_ends(tmp_path, opened):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "again").symlink_to(".")
    with pytest.raises(DataError, match="holds no pictures"):
        opened(tmp_path / "data")


def test_group_by_keeps_pictures_of_a_name_together(files, opened):
    root = files([f"{c}/p{p}_{n}.png" for c in "ab" for p in range(10) for n in range(3)])
    dataset = opened(root, group_by=r"(\w/p\d+)_")
    groups = [set(split.groups) for split in dataset.splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    assert dataset.train.groups[0].startswith("a/p")


@pytest.mark.parametrize("pattern", ["(", "patient"])
def test_a_group_pattern_that_cannot_work_is_refused(classes, opened, pattern):
    with pytest.raises(UsageError, match="group_by"):
        opened(classes(), group_by=pattern)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ([], "is empty"),
        (["a.png", "b.png"], "2 picture.s. but no class folders"),
        (["a/1.png", "a/2.png"], r"pictures of one class \(a\)"),
        (["a/1.txt", "b/2.txt"], "holds no pictures"),
        (["notes.txt"], "holds no pictures, but notes.txt"),
        (["a/1.png", "b/1.png", "b/2.png"], "class a has a single picture"),
        (["val/a/1.png", "test/a/1.png"], "no train/"),
        (["train/a/1.png", "val/a/1.png", "valid/a/1.png"], "both val/ and valid/ for valid"),
        (["train/1.png", "test/1.png"], "test/ and train/ without class folders"),
        (["train/a/1.png", "train/b/1.png", "valid/c/1.png"], "no class of valid .c."),
        (["x/train/a/1.png", "x/train/b/1.png", "y/1.png"], r"whole data sets \(x\)"),
    ],
)
def test_what_cannot_be_learned_from_is_said_in_a_sentence(files, opened, written, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        opened(files(written))
    assert "\n" not in str(caught.value)


def test_the_names_of_the_missing_are_near_ones(opened, tmp_path):
    with pytest.raises(DataError, match=r"does not exist.*did you mean the data set cifar10"):
        opened("cifra10")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(DataError, match="broken link"):
        opened(tmp_path / "link")
    with pytest.raises(DataError, match="is on the web"):
        opened("https://example.org/data.zip")


@pytest.mark.parametrize("name", ["a.png", "a.xyz"])
def test_a_file_that_is_no_data_set_is_refused(files, opened, name):
    with pytest.raises(DataError, match="give a folder with a folder per class"):
        opened(files([name]) / name)


def test_a_folder_without_permission_is_named():
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "a"
        closed.mkdir()
        (closed / "1.png").write_bytes(b"")
        (Path(name) / "b").mkdir()
        (Path(name) / "b" / "1.png").write_bytes(b"")
        Path(name).chmod(0o755)
        closed.chmod(0)
        command = [sys.executable, "-c", READ_AS_NOBODY, name]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        closed.chmod(0o755)
    assert result.stdout.startswith(f"{closed} cannot be read (permission denied)")


def test_a_fingerprint_follows_content_and_labels_but_not_the_place(classes, opened):
    root = classes()
    before = opened(root).train.fingerprint()
    assert opened(root).train.fingerprint() == before
    assert opened(root, seed=1).train.fingerprint() != before
    moved = root.rename(root.with_name("moved"))
    assert opened(moved).train.fingerprint() == before
    for path in moved.glob("*/*.png"):
        path.write_bytes(path.read_bytes() + b" ")
    assert opened(moved).train.fingerprint() != before


def test_a_picture_that_goes_away_is_named(classes, opened):
    root = classes()
    source = opened(root).train.source
    path = source.path(0)
    path.unlink()
    for action in (lambda: source.read(0), source.fingerprint):
        with pytest.raises(UnreadablePicture, match=path.name) as caught:
            action()
        assert caught.value.name == str(path)


def test_a_file_costs_at_most_200_bytes(tmp_path):
    import tracemalloc

    from clary.vision.datasets.folders import read_class_folders

    root = tmp_path / "many"
    for label in range(10):
        (root / f"class_{label}").mkdir(parents=True)
        for number in range(1000):
            (root / f"class_{label}" / f"picture_{number:06}.jpg").touch()
    tracemalloc.start()
    found = read_class_folders(root)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.splits["train"].labels) == 10_000
    # 20 MB for 100,000.
    assert peak < 200 * 10_000 + 300_000


def test_files_can_be_chosen(classes):
    source = FileSource(classes(), ["a/0.png", "a/1.png", "b/0.png"])
    chosen = source.take(np.array([2, 0]))
    assert [chosen.relative_name(index) for index in range(2)] == ["b/0.png", "a/0.png"]
    assert chosen.read(0) == source.read(2)
    assert chosen.fingerprint() != source.fingerprint()


@pytest.mark.real_data
def test_dogs(dogs, opened):
    dataset = opened(dogs)
    counts = [len(dataset.splits[name]) for name in ("train", "valid", "test")]
    assert (len(dataset.classes), counts) == (20, [2000, 400, 500])
    assert dataset.classes[0].startswith("0")
    assert (dataset.skipped, dataset.made_splits, dict(dataset.unknown_classes)) == ((), (), {})


@pytest.mark.real_data
def test_hymenoptera_and_its_stray_gif(hymenoptera, opened):
    dataset = opened(hymenoptera)
    assert dataset.classes == ("ants", "bees")
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 244,
        "valid": 153,
    }
    assert dataset.skipped == (Skipped("train/ants/imageNotFound.gif", "unsupported type .gif"),)
