"""Every kind of trouble is found, in one run, by name; healthy data sets raise no alarm."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clary.formats.data_check import CheckFinding, CheckReport
from clary.settings import Settings
from clary.vision.checks import check_dataset
from clary.vision.datasets import ArraySource, PictureDataset, Split, open_dataset
from tests.conftest import PictureFolder


def scene(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A random picture of large patches, unlike any other seed's."""
    patches = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes in three splits, of pictures that have nothing in common."""
    root = tmp_path / "photos"
    seed = 0
    for split, count in (("train", 12), ("valid", 4), ("test", 4)):
        for name in ("ant", "bee", "cat"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for _ in range(count):
                seed += 1
                scene(seed).save(folder / f"{seed:03}.jpg", quality=92)
    return root


def check(root: Path, *, full: bool = True, **options: int) -> CheckReport:
    dataset = open_dataset(root, settings=Settings(home=root.parent / "home"))
    return check_dataset(dataset, full=full, **{"image_size": 96, **options})


def by_code(report: CheckReport) -> dict[str, CheckFinding]:
    return {found.code: found for found in report.findings}


@pytest.mark.parametrize("full", [True, False])
def test_healthy_pictures_raise_no_alarm(photos: Path, full: bool) -> None:
    report = check(photos, full=full)
    assert report.findings == ()
    assert not report.blocks_training
    assert report.pictures == 60
    assert report.counts["train"] == {"ant": 12, "bee": 12, "cat": 12}
    assert (report.widths, report.heights) == ((96, 96, 96), (80, 80, 80))
    assert report.full is full


def test_the_pictures_of_the_tests_raise_no_error(picture_folder: PictureFolder) -> None:
    report = check(picture_folder(splits={"train": 20, "valid": 5, "test": 5}), image_size=64)
    assert not [found for found in report.findings if found.severity != "notice"]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif"])
def test_truncated_pictures_are_named(photos: Path, suffix: str, full: bool) -> None:
    path = photos / "train" / "bee" / f"cut{suffix}"
    scene(999).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    report = check(photos, full=full)
    found = by_code(report)["truncated-picture"]
    assert (found.severity, found.count, found.names) == ("error", 1, (f"train/bee/cut{suffix}",))
    assert report.blocks_training


@pytest.mark.parametrize("full", [True, False])
def test_files_that_are_no_pictures_are_named_with_the_reason(photos: Path, full: bool) -> None:
    (photos / "train/ant/empty.jpg").write_bytes(b"")
    (photos / "valid/bee/page.jpg").write_bytes(b"<!doctype html><html></html>")
    found = by_code(check(photos, full=full))["unreadable-picture"]
    assert found.names == ("train/ant/empty.jpg", "valid/bee/page.jpg")
    assert found.details == ("it is empty", "it is a web page")


def test_damage_in_the_middle_is_found_by_the_full_check_only(photos: Path) -> None:
    path = photos / "train/ant/damaged.jpg"
    scene(999, (400, 400)).save(path, quality=95)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2] = b"\xff\xd9"
    path.write_bytes(bytes(content))
    assert "train/ant/damaged.jpg" in [
        name
        for found in check(photos).findings
        if found.severity == "error"
        for name in found.names
    ]
    assert not check(photos, full=False).blocks_training


def test_a_file_that_vanishes_between_listing_and_reading_is_unreadable(photos: Path) -> None:
    dataset = open_dataset(photos, settings=Settings(home=photos.parent / "home"))
    (photos / "train/ant/001.jpg").unlink()
    found = by_code(check_dataset(dataset, full=False))["unreadable-picture"]
    assert (found.names, found.details) == (("train/ant/001.jpg",), ("No such file or directory",))


@pytest.mark.parametrize("full", [True, False])
def test_copies_leakage_and_contradicting_labels_are_told_apart(photos: Path, full: bool) -> None:
    shutil.copy(photos / "train/ant/001.jpg", photos / "train/ant/again.jpg")
    shutil.copy(photos / "train/ant/002.jpg", photos / "test/ant/leaked.jpg")
    shutil.copy(photos / "train/ant/003.jpg", photos / "train/cat/other.jpg")
    found = by_code(check(photos, full=full))
    assert found["duplicate"].names == ("train/ant/again.jpg",)
    assert found["duplicate"].details == ("same as train/ant/001.jpg",)
    assert found["leakage"].names == ("test/ant/leaked.jpg",)
    assert found["leakage"].severity == "warning"
    assert "of test (7.7 %)" in found["leakage"].message
    assert found["conflicting-labels"].names == ("train/cat/other.jpg",)
    assert found["conflicting-labels"].details == ("cat, and ant as train/ant/003.jpg",)


def test_every_copy_in_a_large_group_counts(photos: Path) -> None:
    for number in range(5):
        shutil.copy(photos / "train/ant/001.jpg", photos / f"test/ant/copy{number}.jpg")
    found = by_code(check(photos))
    assert found["leakage"].count == 5
    assert found["duplicate"].count == 4


def test_large_files_of_equal_size_are_told_apart_without_decoding(photos: Path) -> None:
    for number, name in enumerate(("train/ant/a.bmp", "train/ant/b.bmp", "test/ant/a.bmp")):
        scene(500 + number % 2, (300, 200)).save(photos / name)
    found = by_code(check(photos, full=False))
    assert found["leakage"].names == ("test/ant/a.bmp",)
    assert "duplicate" not in found


def test_validation_that_is_a_copy_of_training_is_an_error(photos: Path) -> None:
    shutil.rmtree(photos / "valid")
    shutil.copytree(photos / "train", photos / "valid")
    report = check(photos)
    assert by_code(report)["leakage"].severity == "error"
    assert by_code(report)["leakage"].count == 36


def test_a_picture_saved_again_is_nearly_the_same(photos: Path) -> None:
    with Image.open(photos / "train/bee/013.jpg") as image:
        image.resize((72, 60)).save(photos / "valid/bee/smaller.png")
        image.save(photos / "train/cat/again.jpg", quality=40)
    found = by_code(check(photos))
    assert found["near-leakage"].names == ("valid/bee/smaller.png",)
    assert found["near-leakage"].details == ("like train/bee/013.jpg",)
    assert found["near-conflict"].names == ("train/cat/again.jpg", "valid/bee/smaller.png")
    assert "leakage" not in found
    assert "near-leakage" not in by_code(check(photos, full=False))


def test_shapes_and_turns_are_noticed(photos: Path) -> None:
    scene(900, (20, 25)).save(photos / "train/ant/icon.png")
    scene(901, (500, 60)).save(photos / "train/ant/banner.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(902, (300, 40)).save(photos / "train/ant/turned.jpg", exif=exif)
    report = check(photos)
    found = by_code(report)
    assert (found["tiny-picture"].names, found["tiny-picture"].details) == (
        ("train/ant/icon.png",),
        ("20×25",),
    )
    assert found["extreme-shape"].details == ("500×60", "40×300")
    assert found["exif-orientation"].names == ("train/ant/turned.jpg",)
    assert report.heights[2] == 300


def test_data_made_of_small_pictures_get_one_notice(photos: Path) -> None:
    found = by_code(check(photos, image_size=224))
    assert found["small-pictures"].severity == "notice"
    assert "80 px" in found["small-pictures"].message


def test_blank_and_grey_pictures_are_noticed(photos: Path) -> None:
    Image.new("RGB", (80, 80), (10, 200, 30)).save(photos / "train/ant/blank.png")
    scene(900).convert("L").save(photos / "train/ant/grey.jpg")
    scene(901).convert("L").convert("RGB").save(photos / "train/ant/greyish.jpg")
    found = by_code(check(photos))
    assert found["blank-picture"].names == ("train/ant/blank.png",)
    assert found["grey-picture"].names == ("train/ant/grey.jpg", "train/ant/greyish.jpg")
    assert "grey-class" not in found


def test_a_class_that_is_all_grey_is_a_warning(photos: Path) -> None:
    for path in photos.glob("*/cat/*.jpg"):
        with Image.open(path) as image:
            grey = image.convert("L")
        grey.save(path)
    found = by_code(check(photos))["grey-class"]
    assert (found.severity, found.names, found.details) == ("warning", ("cat",), ("100 % grey",))


def test_a_lying_extension_is_noticed(photos: Path) -> None:
    scene(900).save(photos / "train/ant/png.jpg", "PNG")
    for full in (True, False):
        found = by_code(check(photos, full=full))["wrong-extension"]
        assert (found.severity, found.names) == ("notice", ("train/ant/png.jpg",))


def test_what_was_left_out_is_grouped_by_why(photos: Path) -> None:
    (photos / "train/ant/animation.gif").write_bytes(b"GIF89a")
    (photos / "train/.thumbnails").mkdir()
    scene(900).save(photos / "train/.thumbnails/1.jpg")
    scene(901).save(photos / "train/stray.jpg")
    found = by_code(check(photos))
    assert found["unsupported-type"].names == ("train/ant/animation.gif",)
    assert found["hidden"].names == ("train/.thumbnails/",)
    assert found["left-out"].names == ("train/stray.jpg",)


def test_classes_are_compared_across_splits_and_by_name(photos: Path) -> None:
    (photos / "valid/cat").rename(photos / "valid/Cat ")
    for number in range(20):
        target = photos / "train" / "BEE"
        target.mkdir(exist_ok=True)
        scene(700 + number).save(target / f"{number}.jpg")
    (photos / "train/dog").mkdir()
    report = check(photos)
    found = by_code(report)
    assert found["class-without-training"].names == ("Cat ",)
    assert found["class-without-training"].details == ("train has 'cat'",)
    assert found["class-without-training"].severity == "error"
    assert found["similar-class-names"].names == ("'BEE'",)
    assert found["similar-class-names"].details == ("also 'bee'",)
    assert found["empty-class"].names == ("dog",)
    assert found["class-not-measured"].count in {1, 2}
    assert [each.severity for each in report.findings] == sorted(
        (each.severity for each in report.findings), key=["error", "warning", "notice"].index
    )


def array_dataset(
    counts: dict[str, list[int]], classes: tuple[str, ...], side: int = 40
) -> PictureDataset:
    splits, seed = {}, 0
    for split, numbers in counts.items():
        labels = np.repeat(np.arange(len(numbers)), numbers)
        images = np.stack(
            [np.asarray(scene(seed + number, (side, side))) for number in range(len(labels))]
        )
        seed += len(labels)
        names = [f"{split} {number}" for number in range(len(labels))]
        splits[split] = Split(ArraySource(images, names), labels)
    return PictureDataset("arrays", "in memory", classes, splits)


def test_arrays_are_checked_without_files() -> None:
    dataset = array_dataset({"train": [40, 12], "test": [5, 5]}, ("a", "b"))
    for full in (True, False):
        report = check_dataset(dataset, full=full, image_size=32)
        found = by_code(report)
        assert set(found) == {"imbalance", "no-valid"}
        assert found["imbalance"].severity == "notice"
        assert report.widths == (40, 40, 40)


def test_a_leak_between_arrays_is_found() -> None:
    dataset = array_dataset({"train": [40, 40], "test": [5, 5]}, ("a", "b"))
    test = dataset.splits["test"]
    images = np.stack([test.source.read(index) for index in range(10)])
    images[3] = dataset.train.source.read(7)
    splits = {**dataset.splits, "test": Split(ArraySource(images), test.labels)}
    report = check_dataset(PictureDataset("x", "in memory", ("a", "b"), splits))
    assert by_code(report)["leakage"].names == ("picture 3",)


def test_few_pictures_one_class_and_strong_imbalance() -> None:
    found = by_code(check_dataset(array_dataset({"train": [20, 1]}, ("a", "b"))))
    assert found["less-than-a-batch"].count == 21
    assert found["few-pictures"].names == ("b",)
    assert found["imbalance"].severity == "warning"
    single = check_dataset(array_dataset({"train": [20]}, ("a",)))
    assert by_code(single)["one-class"].severity == "error"


def test_hidden_folders_taken_for_classes_are_an_error() -> None:
    dataset = array_dataset({"train": [20, 20]}, ("a", ".ipynb_checkpoints"))
    assert by_code(check_dataset(dataset))["hidden-class"].names == (".ipynb_checkpoints",)


def test_names_stop_at_fifty_and_the_count_goes_on(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "many" / name).mkdir(parents=True)
        for number in range(60):
            (tmp_path / "many" / name / f"{number}.jpg").write_bytes(b"")
    found = by_code(check(tmp_path / "many"))["unreadable-picture"]
    assert (found.count, len(found.names), len(found.details)) == (120, 50, 50)


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_names_that_are_no_text_are_reported(photos: Path) -> None:
    folder = os.fsencode(photos / "train" / "ant")
    try:
        Path(os.fsdecode(folder + b"/caf\xe9.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    report = check(photos)
    assert by_code(report)["unreadable-picture"].names == ("train/ant/caf\ufffd.jpg",)
    assert CheckReport.model_validate_json(report.model_dump_json()) == report


def test_progress_ends_at_the_total_and_threads_do_not_change_the_report(photos: Path) -> None:
    dataset = open_dataset(photos, settings=Settings(home=photos.parent / "home"))
    calls: list[tuple[str, int, int | None]] = []
    one = check_dataset(dataset, workers=1, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("decoding pictures", 60, 60)
    four = check_dataset(dataset, workers=4)
    assert four.findings == one.findings


def test_the_error_of_a_progress_callback_ends_the_check(photos: Path) -> None:
    dataset = open_dataset(photos, settings=Settings(home=photos.parent / "home"))

    def stop(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_dataset(dataset, progress=stop)


@pytest.mark.real_data
def test_the_stray_gif_of_hymenoptera_is_reported(hymenoptera: Path) -> None:
    report = check(hymenoptera, image_size=224)
    assert by_code(report)["unsupported-type"].names == ("train/ants/imageNotFound.gif",)
    assert {found.code for found in report.findings} == {"unsupported-type", "grey-picture"}


@pytest.mark.real_data
def test_dogs_have_a_few_near_copies_and_nothing_worse(dogs: Path) -> None:
    report = check(dogs, image_size=224)
    assert {found.severity for found in report.findings} == {"notice"}
    assert by_code(report)["near-duplicate"].count == 5


@pytest.mark.real_data
def test_written_digits_are_not_taken_for_copies(settings: Settings) -> None:
    report = check_dataset(open_dataset("digits", settings=settings))
    assert {found.code for found in report.findings} <= {"small-pictures"}


@pytest.mark.slow
@pytest.mark.real_data
def test_the_known_near_copies_of_cifar_are_found(cifar_batches: Path, settings: Settings) -> None:
    dataset = open_dataset(cifar_batches / "cifar-10-batches-py", settings=settings)
    report = check_dataset(dataset)
    assert not report.blocks_training
    leaks = [found for found in report.findings if found.code == "near-leakage"]
    assert sum(found.count for found in leaks if " of test " in found.message) > 100
