"""The profiler around loops that people write themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from clary.errors import StorageError, UsageError
from clary.formats.profiler_configuration import ProfilerConfiguration
from clary.formats.timeline import Mode
from clary.profiler import Profile, Profiler
from clary.profiler.breakdown import break_down
from tests.waiting import PATIENCE_S, until

PICTURES, BATCH = 40, 8


def loader(workers: int = 0) -> DataLoader[tuple[torch.Tensor, ...]]:
    data = TensorDataset(torch.randn(PICTURES, 12), torch.randint(0, 3, (PICTURES,)))
    return DataLoader(data, batch_size=BATCH, num_workers=workers)


def train(profiler: Profiler, batches: DataLoader[tuple[torch.Tensor, ...]]) -> None:
    model = nn.Linear(12, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for pictures, labels in profiler.loading(batches):
        with profiler.phase("forward"):
            loss = nn.functional.cross_entropy(model(pictures), labels)
        with profiler.phase("backward"):
            loss.backward()
        with profiler.phase("optimizer"):
            optimizer.step()
        time.sleep(0.021)  # steps that are shorter are recorded together


def wait_for_samples(folder: Path) -> None:
    until(lambda: list((folder / "system").rglob("*.json")), lambda: "the machine is not sampled")


def samplers_of(pid: int) -> list[int]:
    """The sampler processes that a process has."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    return [int(line[0]) for line in lines if "clary.jobs.sample_system" in line[1]]


def test_steps_phases_loading_and_the_machine_are_seen(tmp_path: Path) -> None:
    with Profiler(tmp_path / "profile", batch_size=BATCH) as profiler:
        profiler.facts(epochs=2)
        for _ in range(2):
            train(profiler, loader())
        wait_for_samples(tmp_path / "profile")
    profile = Profile.open([tmp_path / "profile"])
    steps = profile.steps(Mode.TRAIN)
    assert len(steps) == 2 * PICTURES / BATCH
    assert set(steps["pictures"].tolist()) == {BATCH}
    for phase in range(5):
        # Nothing is brought to a device.
        measured = steps["phases_s"][:, phase]
        assert np.isnan(measured).all() if phase == 1 else (measured >= 0).all()
    facts = profile.facts
    assert facts is not None
    assert (facts.node, facts.batch_size, facts.epochs, facts.device) == ("algo-1", 8, 2, "cpu")
    assert facts.train_loading is not None
    assert (facts.train_loading.workers, facts.train_loading.pictures) == (0, PICTURES)
    assert [span.kind for span in profile.spans] == ["initialization"]
    assert len(profile.workers[0].loads()) == 2 * PICTURES / BATCH
    resident = profile.hosts[0].system.series("Process", "MemoryBytes")[1]
    assert len(resident) >= 1
    assert profile.failures == ()
    assert samplers_of(os.getpid()) == []


def test_evaluations_are_steps_and_a_span(tmp_path: Path) -> None:
    with Profiler(tmp_path, machine=False) as profiler:
        train(profiler, loader())
        for _ in profiler.loading(loader(), "eval"):
            time.sleep(0.021)
        with profiler.span("evaluation", "of the test set"):
            for _ in profiler.loading(loader(), "eval"):
                time.sleep(0.021)
        with profiler.span("checkpoint"):
            time.sleep(0.01)
    profile = Profile.open([tmp_path])
    assert len(profile.steps(Mode.EVAL)) == 2 * PICTURES / BATCH
    kinds = [(span.kind, span.label) for span in profile.spans]
    assert kinds == [
        ("initialization", ""),
        ("evaluation", ""),
        ("evaluation", "of the test set"),
        ("checkpoint", ""),
    ]
    breakdown = break_down(profile)
    assert breakdown.steps == PICTURES / BATCH
    assert breakdown.evaluation_s >= 0.2
    assert breakdown.checkpoint_s >= 0.009
    assert not (tmp_path / "system").exists()


def test_batches_of_a_loaders_workers_are_seen(tmp_path: Path) -> None:
    with Profiler(tmp_path, machine=False) as profiler:
        train(profiler, loader(workers=2))
    profile = Profile.open([tmp_path])
    loads = profile.workers[0].loads()
    assert len(loads) == PICTURES / BATCH
    assert set(loads["worker"].tolist()) == {0, 1}
    assert [span.kind for span in profile.spans if span.kind == "loader_start"] == ["loader_start"]


def test_a_loop_without_a_loader_has_steps_too(tmp_path: Path) -> None:
    with Profiler(tmp_path, machine=False) as profiler:
        for _ in range(3):
            with profiler.step(), profiler.phase("data"):
                time.sleep(0.021)
            time.sleep(0.021)
    steps = Profile.open([tmp_path]).steps(Mode.TRAIN)
    assert len(steps) == 3
    assert steps["phases_s"][:, 0].min() >= 0.02


def test_anything_that_gives_batches_is_a_loader(tmp_path: Path) -> None:
    def batches() -> Iterator[list[torch.Tensor]]:
        for _ in range(3):
            time.sleep(0.021)
            yield [torch.zeros(5, 3)]

    with Profiler(tmp_path, machine=False) as profiler:
        assert len(profiler.loading([1, 2])) == 2
        for _ in profiler.loading(batches()):
            pass
    steps = Profile.open([tmp_path]).steps(Mode.TRAIN)
    assert steps["pictures"].tolist() == [5, 5, 5]


def test_a_loop_that_is_left_and_a_loader_that_fails_are_no_trouble(tmp_path: Path) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise RuntimeError("the disk is gone")

    with Profiler(tmp_path, machine=False) as profiler:
        for _ in profiler.loading(loader()):
            time.sleep(0.021)
            break
        with pytest.raises(RuntimeError, match="the disk is gone"):
            for _ in profiler.loading(failing()):
                time.sleep(0.021)
    assert len(Profile.open([tmp_path]).steps(Mode.TRAIN)) == 2


def test_what_is_wrong_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with Profiler(tmp_path, machine=False) as profiler:
        with pytest.raises(UsageError, match="'forwards' is no phase of a step: choose among data"):
            profiler.phase("forwards").__enter__()
        with pytest.raises(UsageError, match="'test' is no mode of a step: choose train or eval"):
            profiler.loading([], "test")  # type: ignore[arg-type]
        for _ in profiler.loading([1]):
            time.sleep(0.021)
    with pytest.raises(UsageError, match="holds a profile of worker_0 already"):
        Profiler(tmp_path, machine=False)
    with pytest.raises(UsageError, match="full stands beside a configuration"):
        Profiler(tmp_path / "other", full=True, configuration=ProfilerConfiguration())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Profiler(tmp_path / "file" / "profile")


def test_the_report_is_written_where_one_is_wanted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Profiler(tmp_path, report=True) as profiler:
        train(profiler, loader())
    assert "<html" in (tmp_path / "profile.html").read_text()
    assert capfd.readouterr().out == ""


def test_full_looks_into_operators(tmp_path: Path) -> None:
    with Profiler(tmp_path, machine=False, full=True) as profiler:
        for _ in range(4):
            train(profiler, loader())
    (operators,) = Profile.open([tmp_path]).workers[0].operators
    assert (operators.first, operators.last) == (5, 14)


UNCLOSED = """
import os, signal, sys, time
from clary.profiler import Profiler
profiler = Profiler(sys.argv[1])
for _ in profiler.loading(range(3)):
    time.sleep(0.021)
if os.fork() == 0:
    sys.exit(0)  # a fork's end is not the training's
os.wait()
for _ in profiler.loading(range(3)):
    time.sleep(0.021)
while not list((profiler.folder / "system").rglob("*.json")):
    time.sleep(0.02)
if sys.argv[2] == "kill":
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["leave", "kill"])
def test_who_forgets_to_close_or_is_killed_loses_little(tmp_path: Path, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNCLOSED, str(tmp_path), how],
        check=False,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == (0 if how == "leave" else -signal.SIGKILL), done.stderr
    # The sampler holds stderr: that it is closed says that the sampler has ended.
    profile = Profile.open([tmp_path])
    assert len(profile.steps(Mode.TRAIN)) >= 6 - (how == "kill")
    assert len(profile.hosts[0].system.series("Process", "Processes")[0]) >= 1
    assert profile.failures == ()


class Uncountable(torch.utils.data.Sampler[int]):
    """Torch never asks for its length."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))

    def __len__(self) -> int:
        raise NotImplementedError("ask the database")


class Unsized(dict[str, torch.Tensor]):
    def values(self) -> NoReturn:
        raise RuntimeError("it is loaded when it is needed")


class Lengthless(TensorDataset):
    def __len__(self) -> int:
        raise NotImplementedError("ask the database")


def test_what_a_loader_does_not_say_of_itself_is_no_trouble(tmp_path: Path) -> None:
    batches: DataLoader[Any] = DataLoader(
        Lengthless(torch.zeros(4, 3)),
        sampler=Uncountable(),
        collate_fn=lambda pictures: Unsized(pictures=torch.stack([one[0] for one in pictures])),
    )
    profiler = Profiler(tmp_path, machine=False)
    profiler._loads.close()  # what it sees of loaders is not what is tested here
    for _ in profiler.loading(batches):
        time.sleep(0.021)
    profiler.close()
    profile = Profile.open([tmp_path])
    assert len(profile.steps(Mode.TRAIN)) == 4
    assert profile.facts is not None
    assert profile.facts.train_loading is not None
    assert profile.facts.train_loading.pictures is None
    assert profile.failures == ()
