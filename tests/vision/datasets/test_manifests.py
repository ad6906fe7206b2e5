from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from clary.errors import DataError, UsageError
from clary.vision.datasets import Skipped

PATHS = [f"pics/{c}{n}.jpg" for c in "xy" for n in range(4)]
WHOLE = {"valid_fraction": 0, "test_fraction": 0}


def label(path):
    return {"x": "cat", "y": "dog"}[path.split("/")[-1][0]]


def written(split):
    names = [split.source.relative_name(index) for index in range(len(split))]
    return dict(zip(names, split.labels.tolist(), strict=True))


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("path,label", "{path},{label}"),
        ("\ufefffile_name;Class Name", "{path};{label}"),
        ("id\timage_path\tcategory", "7\t{path}\t{label}"),
        ("Label,Filename", "{label},{path}"),
        ("class id,filepaths,labels,data set", '3,{path},"{label}",train'),
        ("filename,breed", "{path}, {label} "),
        (None, "{path},{label}"),
        (None, "{label},{path}"),
    ],
)
def test_csv_in_many_forms(files, opened, header, line):
    root = files(PATHS)
    lines = [line.format(path=path, label=label(path)) for path in PATHS]
    text = "\r\n".join([*([header] if header else []), *lines, ""])
    (root / "photos.csv").write_bytes(text.encode())
    dataset = opened(root / "photos.csv", **WHOLE)
    assert dataset.classes == ("cat", "dog")
    assert written(dataset.train) == {path: int(label(path) == "dog") for path in PATHS}
    assert dataset.train.source.read(0) == (root / PATHS[0]).read_bytes()


def test_splits_and_groups_of_a_manifest(files, opened):
    root = files(PATHS)
    rows = [{"path": p, "label": label(p), "split": "val" if "3" in p else "Training"}
            for p in PATHS]  # fmt: skip
    (root / "m.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    dataset = opened(root / "m.jsonl")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 6, "valid": 2}
    assert dataset.made_splits == ()
    assert dataset.train.groups is None


@pytest.mark.parametrize(("column", "group_by"), [("group", None), ("Patient ID", "patient_id")])
def test_a_column_of_groups_keeps_them_together(files, opened, column, group_by):
    paths = [f"{c}{g}_{n}.png" for c in "xy" for g in range(8) for n in range(3)]
    root = files(paths)
    lines = [f"{path},{label(path)},{path[:2]}" for path in paths]
    (root / "m.csv").write_text("\n".join([f"path,label,{column}", *lines]))
    dataset = opened(root / "m.csv", group_by=group_by)
    groups = [set(split.groups) for split in dataset.splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 16


def test_a_manifest_may_name_absolute_and_outer_paths(files, opened):
    root = files(["a/1.png", "b/1.png"])
    lists = files([], "lists")
    (lists / "m.csv").write_text(f"path,label\n../data/a/1.png,a\n{root / 'b/1.png'},b\n")
    dataset = opened(lists / "m.csv", **WHOLE)
    assert [len(dataset.train.source.read(index)) > 0 for index in (0, 1)] == [True, True]
    dataset.train.fingerprint()


def test_paths_written_on_windows_are_found(files, opened):
    root = files(["a/1.png", "b/1.png"])
    (root / "m.csv").write_text("path,label\na\\1.png,a\nb\\1.png,b\n")
    assert written(opened(root / "m.csv", **WHOLE).train) == {"a/1.png": 0, "b/1.png": 1}


def test_rows_that_cannot_be_used_are_recorded(files, opened):
    root = files(["1.png", "2.png", "3.gif"])
    (root / "m.csv").write_text("path,label\n1.png,a\n2.png,b\n3.gif,a\n4.png,b\n1.png,a\n")
    assert opened(root / "m.csv", **WHOLE).skipped == (
        Skipped("3.gif", "unsupported type .gif"),
        Skipped("4.png", "the file is missing"),
        Skipped("1.png", "listed again on line 6"),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lists no pictures"),
        ("path,label\n", "lists no pictures"),
        ("path,label\nnone.png,a\n", "none of the 1 pictures .* the file is missing"),
        ("a,b,c\n1,2,3\n", "has the columns a, b, c: name two of them path and label"),
        ("path,label\n1.png,\n", "line 2 has no label"),
        ("path,label\n,a\n", "line 2 has no path"),
        ("path,label\n1.png,a\n1.png,b\n", "calls 1.png a on line 2 and b on line 3"),
        ("path,label,split\n1.png,a,later\n", "split 'later' is not train, valid or test"),
        ("path,label,split\n1.png,a,train\n2.png,b,\n", "none for others, such as 2.png"),
        ("1.png,a,b,c\n", "has 4 columns and no header"),
        ("path,label\n1.png,a\n2.png,a\n", r"pictures of one class \(a\)"),
        (b"path,label\n\xff.png,a\n", "is not UTF-8 text"),
        ("path,label\n1.png," + "x" * 200_000 + "\n", "line 2 is not CSV"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said_with_its_line(files, opened, text, sentence):
    root = files(["1.png", "2.png"])
    (root / "m.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=sentence):
        opened(root / "m.csv")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]\n", "line 1 is not a JSON object"),
        ('{"path": "1.png", "label": "a"}\n{"path"\n', "line 2 is not a JSON object"),
        ('{"path": "1.png", "label": ["a", "b"]}\n', "line 1 gives several values"),
        ('{"picture": "1.png", "x": 1, "z": 2}\n', "has the columns picture, x, z"),
        ('{"path": "1.png", "label": null}\n', "line 1 has no label"),
    ],
)
def test_what_is_wrong_with_json_lines_is_said_with_its_line(files, opened, text, sentence):
    root = files(["1.png"])
    (root / "m.jsonl").write_text(text)
    with pytest.raises(DataError, match=sentence):
        opened(root / "m.jsonl")


def test_channels_with_their_lists_beside_them_are_read_together(files, opened):
    folders = {"train": 4, "validation": 2}
    root = files([f"{name}/{n}.png" for name, count in folders.items() for n in range(count)])
    for name, count in folders.items():
        (root / f"{name}_lst").mkdir()
        lines = [f"{n}\t{n % 2}\t{n}.png\n" for n in range(count)]
        (root / f"{name}_lst" / f"{name}.lst").write_text("".join(lines))
    dataset = opened(root)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 4, "valid": 2}
    assert dataset.classes == ("0", "1")
    assert dataset.splits["valid"].source.path(0).parent.name == "validation"


def write_split_manifests(root, columns):
    for name, words in columns.items():
        rows = [f"{name}{n}.png,{'ab'[n % 2]},{word}" for n, word in enumerate(words)]
        (root / f"{name}.csv").write_text("\n".join(["path,label,split", *rows]))


def test_a_split_column_may_repeat_the_name_of_its_manifest(files, opened):
    root = files([f"{name}{n}.png" for name in ("train", "valid") for n in range(4)])
    write_split_manifests(root, {"train": ["train"] * 4, "valid": ["val"] * 4})
    dataset = opened(root)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 4, "valid": 4}


@pytest.mark.parametrize("words", [["train"] * 4, ["valid", "valid", "test", "test"]])
def test_a_split_column_against_the_name_of_its_manifest_is_refused(files, opened, words):
    root = files([f"{name}{n}.png" for name in ("train", "valid") for n in range(4)])
    write_split_manifests(root, {"train": ["train"] * 4, "valid": words})
    with pytest.raises(
        DataError, match=r"valid\.csv is the manifest of valid .* says (train|valid)"
    ):
        opened(root)


@pytest.mark.parametrize("name", ["m.csv", "m.lst"])
def test_an_unknown_group_column_is_refused(files, opened, name):
    root = files(["1.png"])
    (root / name).write_text("path,label\n1.png,a\n")
    with pytest.raises(UsageError, match="group_by"):
        opened(root / name, group_by="patient")


def test_lst_as_sagemaker_takes_it(files, opened):
    names = [f"train/{c}/{n}.jpg" for c in "ab" for n in range(12)]
    root = files(names)
    (root / "train_lst").mkdir()
    lines = [f"{i}\t{i}.000000\t{name.removeprefix('train/')}" for i, name in enumerate(names)]
    (root / "train_lst" / "train.lst").write_text("\n".join(lines) + "\n")
    dataset = opened(root / "train_lst" / "train.lst", **WHOLE)
    assert dataset.layout == "SageMaker .lst"
    assert dataset.classes == tuple(str(i) for i in range(24))
    assert list(dataset.train.labels) == list(range(24))
    assert dataset.train.source.read(3) == (root / names[3]).read_bytes()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0\t1\n", "line 1 has 2 values between tabs, not 3"),
        ("0\t1\t2\tx.jpg\n", "line 1 has 4 values between tabs, not 3"),
        ("0\tcat\tx.jpg\n", "label 'cat' is not a whole number"),
        ("0\tinf\tx.jpg\n", "label 'inf' is not a whole number"),
    ],
)
def test_what_is_wrong_with_an_lst_is_said_with_its_line(files, opened, text, sentence):
    root = files(["x.jpg"])
    (root / "m.lst").write_text(text)
    with pytest.raises(DataError, match=sentence):
        opened(root / "m.lst")


def augmented(reference, number, name, job="species"):
    kind = "groundtruth/image-classification"
    metadata = {"class-name": name, "confidence": 0.9, "type": kind, "human-annotated": "yes"}
    return {"source-ref": reference, job: number, f"{job}-metadata": metadata}


def test_an_augmented_manifest_finds_s3_pictures_beside_it(files, opened):
    root = files(["cats/1.jpg", "1.jpg", "dogs/2.jpg"])
    rows = [
        augmented("s3://bucket/all/cats/1.jpg", 0, "cat"),
        augmented("s3://bucket/all/1.jpg", 1, "dog"),
        augmented("dogs/2.jpg", 1, "dog"),
    ]
    (root / "output.manifest").write_text("\n".join(map(json.dumps, rows)))
    dataset = opened(root / "output.manifest", **WHOLE)
    assert dataset.layout == "SageMaker augmented manifest"
    assert dataset.classes == ("cat", "dog")
    assert written(dataset.train) == {"cats/1.jpg": 0, "1.jpg": 1, "dogs/2.jpg": 1}


def test_an_augmented_manifest_without_class_names_uses_its_numbers(files, opened):
    root = files(["1.jpg", "2.jpg"])
    rows = [{"source-ref": f"s3://b/{n}.jpg", "class": n} for n in (1, 2)]
    (root / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert opened(root / "m.jsonl", **WHOLE).classes == ("1", "2")


def test_pictures_that_are_only_in_s3_are_said_in_a_sentence(files, opened):
    root = files(["1.jpg"])
    rows = [augmented(f"s3://bucket/x/{n}.jpg", n % 2, "ab"[n % 2]) for n in range(1, 4)]
    (root / "m.manifest").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"names 2 picture.s. in S3 .*first: s3://bucket/x/2.jpg"):
        opened(root / "m.manifest")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"source-ref": "1.jpg"}, "has 0 label attributes"),
        ({"source-ref": "1.jpg", "a": 1, "b": 2}, r"has 2 label attributes \(a, b\)"),
        ({"source-ref": "", "a": 1}, "has no source-ref"),
        (
            {
                "source-ref": "1.jpg",
                "a": {},
                "a-metadata": {"type": "groundtruth/object-detection"},
            },
            "no class of a picture but groundtruth/object-detection",
        ),
        ({"source-ref": "1.jpg", "a": 1, "a-metadata": {}}, "one class"),
    ],
)
def test_what_is_wrong_with_an_augmented_manifest_is_said(files, opened, row, sentence):
    root = files(["1.jpg"])
    (root / "m.manifest").write_text(json.dumps(row))
    with pytest.raises(DataError, match=sentence):
        opened(root / "m.manifest")


def test_a_folder_with_a_manifest_is_read_by_it(files, opened):
    root = files(PATHS)
    (root / "labels.csv").write_text("\n".join(["path,label", *(f"{p},{label(p)}" for p in PATHS)]))
    (root / "class_to_idx.json").write_text('{\n  "cat": 0\n}')
    (root / "sizes.csv").write_text("name,size\na,1\n")
    assert opened(root).layout == "CSV manifest labels.csv"


def test_a_table_that_names_no_pictures_here_leaves_the_folders_alone(classes, opened):
    root = classes()
    (root / "labels.csv").write_text("path,label\nelsewhere/1.png,a\n")
    dataset = opened(root)
    assert dataset.layout == "a folder per class"
    assert dataset.skipped == (Skipped("labels.csv", "unsupported type .csv"),)


def test_manifests_called_after_splits_are_read_together(files, opened):
    root = files(PATHS)
    for name, numbers in {"train": "012", "validation": "3"}.items():
        rows = [p for p in PATHS if p[-5] in numbers]
        lines = [f"{i}\t{int(label(p) == 'dog')}\t{p}" for i, p in enumerate(rows)]
        (root / f"{name}.lst").write_text("\n".join(lines))
    dataset = opened(root)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 6, "valid": 2}
    (root / "other.lst").write_text((root / "train.lst").read_text())
    with pytest.raises(DataError, match="several manifests"):
        opened(root)


LABELS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@examples(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LABELS, min_size=2, max_size=6, unique=True), st.data())
def test_whatever_is_written_as_a_manifest_is_read_back(files, opened, labels, data):
    paths = [f"p/{number}.png" for number in range(12)]
    root = files(paths)
    picked = {path: data.draw(st.sampled_from(labels)) for path in paths}
    picked |= dict(zip(paths, labels, strict=False))
    table = io.StringIO()
    csv.writer(table, delimiter=data.draw(st.sampled_from(",;\t"))).writerows(
        [["path", "label"], *picked.items()]
    )
    (root / "m.csv").write_text(table.getvalue(), encoding="utf-8")
    lines = [json.dumps({"file": path, "class": name}) for path, name in picked.items()]
    (root / "m.jsonl").write_text("\n".join(lines))
    for name in ("m.csv", "m.jsonl"):
        dataset = opened(root / name, **WHOLE)
        assert set(dataset.classes) == set(labels)
        split = dataset.train
        read = {
            split.source.relative_name(index): dataset.classes[split.labels[index]]
            for index in range(len(split))
        }
        assert read == picked
