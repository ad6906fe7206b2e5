"""The built-in algorithm: what `clary.jobs.train` finds, and one training to its end."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from clary.errors import ClaryError
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import Launch
from clary.service.executors.executor import Ended, TrainingJobSpec
from clary.service.executors.local_processes import LocalProcesses
from tests.conftest import PictureFolder
from tests.service.executors.conftest import Bench, channel

IMAGES = [
    "clary/image-classification",
    "clary/image-classification:latest",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/clary/image-classification:1",
]
QUICK = {
    "model": "test_resnet",
    "weights": "none",
    "epochs": "1",
    "image_size": "32",
    "batch_size": "12",
}


def built_in(bench: Bench, name: str, image: str = IMAGES[0], **request: Any) -> TrainingJobSpec:
    return bench.job(name, AlgorithmSpecification={"TrainingImage": image}, **request)


def prepared(bench: Bench, executor: LocalProcesses, job: TrainingJobSpec) -> Launch:
    executor.prepare(job, lambda message: None)
    return Launch.read(job.directory.root / ".launch.json")


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_clarys_training_on_the_real_directory(
    bench: Bench, executor: LocalProcesses, image: str
) -> None:
    job = built_in(bench, "digits", image, HyperParameters={"dataset": "digits", "epochs": "1"})
    launch = prepared(bench, executor, job)
    root = str(job.directory.root)
    assert launch.command == (sys.executable, "-m", "clary.jobs.train", "--job", root)
    assert (launch.isolation, launch.base, launch.mounts) == ("none", root, ())
    assert JobDirectory(job.directory.root).location() == "digits"


def test_a_linked_folder_is_used_where_it_lies(
    bench: Bench, executor: LocalProcesses, picture_folder: PictureFolder
) -> None:
    photos = picture_folder(per_class=1)
    bench.store.link("photos", photos)
    for name in ("training", "train"):
        job = built_in(bench, name, InputDataConfig=[channel(name, "s3://photos/")])
        prepared(bench, executor, job)
        assert JobDirectory(job.directory.root).location() == str(photos)


def test_a_single_object_is_the_file_itself(bench: Bench, executor: LocalProcesses) -> None:
    uri = bench.put("archives/photos.zip", b"PK")
    job = built_in(bench, "zip", InputDataConfig=[channel("training", uri)])
    prepared(bench, executor, job)
    location = JobDirectory(job.directory.root).location()
    assert location == str(bench.store.info("bench", "archives/photos.zip").path)


def test_channels_of_several_names_are_the_splits_of_one_set(
    bench: Bench, executor: LocalProcesses
) -> None:
    for split in ("train", "valid"):
        bench.put(f"data/{split}/ant/1.jpg", "x")
    channels = [channel(split, f"s3://bench/data/{split}/") for split in ("train", "valid")]
    job = built_in(bench, "splits", InputDataConfig=channels)
    prepared(bench, executor, job)
    location = Path(JobDirectory(job.directory.root).location())
    assert sorted(path.name for path in location.iterdir()) == ["train", "valid"]
    assert (location / "valid" / "ant" / "1.jpg").read_text() == "x"


def test_no_data_is_said(bench: Bench, executor: LocalProcesses) -> None:
    with pytest.raises(ClaryError, match="the job has no data: give a channel"):
        executor.prepare(built_in(bench, "none"), lambda message: None)


@pytest.mark.slow
def test_one_training_to_its_end(
    bench: Bench, executor: LocalProcesses, picture_folder: PictureFolder
) -> None:
    bench.store.link("photos", picture_folder(per_class=12, size=40))
    source = channel("training", "s3://photos/")
    job = built_in(bench, "trains", HyperParameters=QUICK, InputDataConfig=[source])
    ended = bench.run(executor, job)
    lines = bench.lines(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, lines
    assert any(line.startswith("epoch 1/1: train_loss=") for line in lines)
    executor.collect(job)
    with tarfile.open(bench.store.info("bench", "out/trains/output/model.tar.gz").path) as tar:
        described = tar.extractfile("model.json")
        assert described is not None
        assert json.load(described)["classes"] == ["class_0", "class_1", "class_2"]


def test_a_wrong_option_fails_with_its_sentence(
    bench: Bench, executor: LocalProcesses, picture_folder: PictureFolder
) -> None:
    bench.store.link("photos", picture_folder(per_class=2))
    source = channel("training", "s3://photos/")
    wrong = {"epocs": "3"}
    job = built_in(bench, "wrong", HyperParameters=wrong, InputDataConfig=[source])
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 2
    assert ended.failure == (
        "AlgorithmError: there is no option --epocs: did you mean --epochs?, exit code: 2"
    )
