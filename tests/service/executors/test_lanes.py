"""Trials that share one process: to everybody else each of them is a job like any other."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clary.errors import StorageError
from clary.formats.builtin_algorithm import IMAGE
from clary.formats.launch import HostFiles, HostStarted
from clary.formats.model_archive import ModelDescription
from clary.object_store.store import ObjectStore
from clary.service.executors.executor import Ended, Gone, Running, TrainingJobSpec
from clary.service.executors.local_processes import LocalProcesses
from clary.settings import Settings
from clary.vision import build_classifier, save_model
from tests.conftest import make_picture
from tests.service.executors.conftest import BUCKET, Bench, channel, children_running
from tests.waiting import until

MakeTrial = Callable[..., TrainingJobSpec]
LONG = {"epochs": "100000"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home with pictures in a bucket, and a backbone on the disk."""
    home = tmp_path_factory.mktemp("lanes")
    settings = Settings(home=home)
    classes = ("x", "y")
    classifier, preprocessing, _ = build_classifier(
        "test_resnet", classes, weights="none", image_size=32
    )
    description = ModelDescription(
        architecture=classifier.architecture, classes=classes, preprocessing=preprocessing
    )
    save_model(home / "backbone", classifier, description)
    store = ObjectStore(settings.buckets_dir)
    store.create_bucket(BUCKET)
    number = 0
    for split, count in (("train", 10), ("valid", 5), ("test", 4)):
        for label in [0, 1, 2] * count:
            number += 1
            content = io.BytesIO()
            make_picture(label, number, 40).save(content, "JPEG")
            content.seek(0)
            store.put(BUCKET, f"pictures/{split}/class_{label}/{number:04}.jpg", content)
    yield Bench(settings, store)
    store.close()


@pytest.fixture(scope="module")
def executor(bench: Bench) -> Iterator[LocalProcesses]:
    """One that has torch loaded."""
    executor = LocalProcesses(bench.settings, bench.store)
    until(lambda: executor.is_warm)
    yield executor
    executor.close()


@pytest.fixture
def trial(bench: Bench, request: pytest.FixtureRequest) -> MakeTrial:
    """A function that makes a trial of a head on the frozen backbone, in this test's tuning job."""
    test = request.node.name.replace("_", "-")[:20]

    def make(
        name: str, values: Mapping[str, str] | None = None, *, tuned: bool = True, **more: Any
    ) -> TrainingJobSpec:
        job = bench.job(
            f"{test}-{name}",
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            InputDataConfig=[channel("training", f"s3://{BUCKET}/pictures/")],
            HyperParameters={
                "weight_path": str(bench.settings.home / "backbone"),
                "trainable_layers": "0",
                "precision": "fp32",
                "workers": "1",
                "batch_size": "8",
                "epochs": "3",
                "no_report": "true",
                "skip_check": "true",
                **(values or {}),
            },
            **more,
        )
        return replace(job, tuning_job=test if tuned else None)

    return make


def begin_all(bench: Bench, executor: LocalProcesses, jobs: list[TrainingJobSpec]) -> None:
    for job in jobs:
        executor.prepare(job, lambda message: None)
    for job in jobs:
        executor.launch(job)


def wait_for_epoch(bench: Bench, executor: LocalProcesses, job: TrainingJobSpec) -> None:
    lines = partial(bench.lines, executor, job)
    until(lambda: any(line.startswith("epoch 1/") for line in lines()), lines)


def losses(job: TrainingJobSpec) -> list[list[float]]:
    lines = (job.directory.output_data / "epochs.jsonl").read_text().splitlines()
    epochs: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [[epoch["train_loss"], epoch["valid_loss"], epoch["valid_accuracy"]] for epoch in epochs]


def files_of(job: TrainingJobSpec) -> set[str]:
    root = job.directory.root
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def words_of(lines: list[str], job: TrainingJobSpec) -> list[str]:
    """A log without the figures of a clock, without the job's name, and without what is done for
    single trainings alone: their models are made ready to be served.
    """
    clocks = re.compile(r"\b(images_per_second|seconds)=[0-9.]+")
    return [
        clocks.sub(r"\1=", line).replace(job.name, "JOB")
        for line in lines
        if not line.startswith(("trained ", "checked in", "features of", "serving ", "bf16 "))
    ]


def test_trials_share_a_process_and_are_what_they_are_alone(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    values: list[dict[str, str]] = [{"lr": "0.01"}, {"lr": "0.1", "epochs": "5"}, {"hidden": "9"}]
    values.append({"lr": "0.1", "batch_size": "4", "skip_check": "false"})
    together = [trial(f"trial-{number}", more) for number, more in enumerate(values)]
    begin_all(bench, executor, together)
    for job in together:
        assert bench.end(executor, job) == Ended(0, None, bench.end(executor, job).at)
    pids = {HostStarted.read(HostFiles(job.directory.root)).pid for job in together}
    assert len(pids) == 1
    for number in (1, 3):
        alone = trial(f"alone-{number}", values[number], tuned=False)
        assert bench.run(executor, alone) == Ended(0, None, bench.end(executor, alone).at)
        for ours, theirs in zip(losses(together[number]), losses(alone), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-6)
        assert files_of(together[number]) == files_of(alone)
        assert words_of(bench.lines(executor, together[number]), together[number]) == words_of(
            bench.lines(executor, alone), alone
        )
        artifacts = executor.collect(together[number])
        assert artifacts.model is not None


def test_one_fails_as_it_fails_alone_and_the_others_go_on(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    wrong = [{"mixup": "0.2"}, {"lr": "1e38", "optimizer": "sgd"}]
    jobs = [trial(f"trial-{number}", values) for number, values in enumerate([*wrong, {}])]
    begin_all(bench, executor, jobs)
    ends = [bench.end(executor, job) for job in jobs]
    alone = [trial(f"alone-{number}", values, tuned=False) for number, values in enumerate(wrong)]
    for job, end in zip(alone, ends, strict=False):
        seen = bench.run(executor, job)
        assert isinstance(end, Ended)
        assert isinstance(seen, Ended)
        assert (seen.exit_code, seen.failure) == (end.exit_code, end.failure)
    assert isinstance(ends[2], Ended)
    assert ends[2].exit_code == 0


def test_stop_and_kill_end_one_trial(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    jobs = [trial(f"trial-{number}", LONG) for number in range(3)]
    begin_all(bench, executor, jobs)
    for job in jobs:
        wait_for_epoch(bench, executor, job)
    executor.terminate(jobs[0])
    stopped = bench.end(executor, jobs[0])
    assert isinstance(stopped, Ended)
    assert stopped.exit_code == 130
    assert str(stopped.failure).startswith("stopped in epoch ")
    assert not any("--resume" in line for line in bench.lines(executor, jobs[0]))
    executor.kill(jobs[1])
    killed = bench.end(executor, jobs[1])
    assert isinstance(killed, Ended)
    assert killed.exit_code == 128 + signal.SIGKILL
    assert isinstance(executor.look(jobs[2]), Running)
    before = len(losses(jobs[2]))
    until(lambda: len(losses(jobs[2])) >= before + 3)
    executor.terminate(jobs[2])
    bench.end(executor, jobs[2])


def test_a_stop_that_cannot_be_said_is_not_lost_and_nobody_else_s(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    jobs = [trial(f"trial-{number}", LONG) for number in range(2)]
    begin_all(bench, executor, jobs)
    for job in jobs:
        wait_for_epoch(bench, executor, job)
    for name in (".stop", ".kill"):
        (jobs[0].directory.root / name).symlink_to("/nowhere/at/all")
    for ask in (executor.terminate, executor.kill):
        with pytest.raises(StorageError, match="cannot be written"):
            ask(jobs[0])
    before = len(losses(jobs[0]))
    until(lambda: len(losses(jobs[0])) >= before + 3)
    (jobs[0].directory.root / ".stop").unlink()
    executor.terminate(jobs[0])
    assert isinstance(bench.end(executor, jobs[0]), Ended)
    assert isinstance(executor.look(jobs[1]), Running)
    executor.kill(jobs[1])
    bench.end(executor, jobs[1])


def test_the_end_of_a_lane_stops_its_trials(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    jobs = [trial(f"trial-{number}", LONG) for number in range(2)]
    begin_all(bench, executor, jobs)
    for job in jobs:
        wait_for_epoch(bench, executor, job)
    os.kill(executor.processes(jobs[0])["algo-1"], signal.SIGTERM)
    for job in jobs:
        seen = bench.end(executor, job)
        assert isinstance(seen, Ended)
        assert seen.exit_code == 130
    after = bench.run(executor, trial("after"))
    assert isinstance(after, Ended)
    assert after.exit_code == 0


def test_a_lane_that_is_killed_takes_its_trials_and_the_next_have_another(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    jobs = [trial(f"trial-{number}", LONG) for number in range(2)]
    begin_all(bench, executor, jobs)
    for job in jobs:
        wait_for_epoch(bench, executor, job)
    os.kill(executor.processes(jobs[0])["algo-1"], signal.SIGKILL)
    for job in jobs:
        seen = bench.end(executor, job)
        assert isinstance(seen, Gone)
    after = trial("after")
    seen = bench.run(executor, after)
    assert isinstance(seen, Ended)
    assert seen.exit_code == 0


def test_trials_live_on_without_the_service(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    first = LocalProcesses(bench.settings, bench.store)
    jobs = [trial("short"), trial("long", LONG)]
    begin_all(bench, first, jobs)
    first.close()  # the lane still waits for what is being loaded
    second = executor
    seen = bench.end(second, jobs[0])
    assert isinstance(seen, Ended)
    assert seen.exit_code == 0
    wait_for_epoch(bench, second, jobs[1])
    pid = second.processes(jobs[1])["algo-1"]
    second.terminate(jobs[1])
    bench.end(second, jobs[1])
    until(
        lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid),
        lambda: "the lane outlived its jobs and its service",
    )


@pytest.mark.parametrize("lost", [False, True])
def test_the_first_trial_waits_for_what_is_being_loaded(
    bench: Bench, trial: MakeTrial, lost: bool
) -> None:
    parents, cold = children_running("clary.jobs.warm_parent"), children_running("clary.jobs.lane")
    executor = LocalProcesses(bench.settings, bench.store)
    try:
        job = trial("lost" if lost else "first")
        begin_all(bench, executor, [job])
        assert children_running("clary.jobs.lane") <= cold
        if lost:
            [parent] = children_running("clary.jobs.warm_parent") - parents
            os.kill(parent, signal.SIGKILL)
        ended = bench.end(executor, job)
        assert isinstance(ended, Ended)
        assert ended.exit_code == 0
        assert bool(children_running("clary.jobs.lane") - cold) == lost
    finally:
        executor.close()


def test_variables_that_are_read_while_torch_is_loaded_are_there(
    bench: Bench, executor: LocalProcesses, trial: MakeTrial
) -> None:
    jobs = [trial(name, LONG, Environment={"OMP_NUM_THREADS": "1"}) for name in ("one", "two")]
    begin_all(bench, executor, jobs)
    for job in jobs:
        wait_for_epoch(bench, executor, job)
    environment = Path(f"/proc/{executor.processes(jobs[0])['algo-1']}/environ").read_bytes()
    assert b"OMP_NUM_THREADS=1" in environment.split(b"\0")
    # What ends one job looks for its mark in the environments of all processes.
    assert b"CLARY_LAUNCH" not in environment
    for job in jobs:
        executor.kill(job)
        bench.end(executor, job)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
