"""The turns of `profiler.py`: a training that is watched in some steps, and not in others."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from clary.errors import Interrupted
from clary.formats.profiler_configuration import ProfilerConfiguration, StepWindow
from clary.formats.training_options import TrainingOptions
from clary.jobs.profiling import TrainingProfiler
from clary.profiler.recording.step_recorder import StepRecorder
from clary.profiler.sampling.system_sampler import SystemSampler
from clary.profiler.scripts.script_watch import stop_watching, watch_script
from clary.settings import Settings
from clary.vision.datasets import InMemory
from clary.vision.finetuning import finetune
from clary.vision.finetuning.stopping import StopRequest
from clary.vision.hardware import choose_hardware
from clary.vision.observer import BatchLoaded, Observer, Phase, RunStarted, StepEnded
from measuring import busy_seconds

OFF, CHEAP, FULL = LEVELS = ("off", "cheap", "full")
WARM_UP = 2
CLASSES = 10

Done = Callable[[Mapping[str, "Turn"]], bool]


@dataclass
class Turn:
    """One turn of one level; `steps` are seconds, without those that begin or end a look."""

    steps: list[float] = field(default_factory=list)
    seconds: float = 0.0
    others: float = 0.0
    own_s: float = 0.0
    """A step, as the recorder measured its own cost on the thread that trains."""


class Clock:
    """Times the steps of a turn, and what others used of the machine meanwhile."""

    def __init__(self) -> None:
        self._all: list[float] = []
        self._busy, self._own = busy_seconds(), time.process_time()
        self._began = self._since = time.perf_counter()

    def step_done(self) -> int:
        """A step is done; gives how many were."""
        now = time.perf_counter()
        self._all.append(now - self._since)
        self._since = now
        return len(self._all)

    def turn(self, facts: Path) -> Turn:
        """What was measured; `facts` is where the recorder of the turn wrote."""
        seconds = sum(self._all)
        wall = time.perf_counter() - self._began
        own = time.process_time() - self._own
        others = max(0.0, busy_seconds() - self._busy - own) / wall
        recorder_s = 0.0
        if facts.exists():
            recorder_s = json.loads(facts.read_text())["overhead_s"] / len(self._all)
        return Turn(self._all[WARM_UP:-1], seconds, others, recorder_s)


def _configuration(level: str, steps: int) -> ProfilerConfiguration:
    """Operators from the second step on to the one before the last."""
    window = StepWindow(first=1, steps=steps - 2) if level == FULL else None
    return ProfilerConfiguration(operators=window)


def _facts(folder: Path) -> Path:
    return folder / "timeline" / "worker_0" / "facts.json"


def _order() -> Iterator[tuple[str, ...]]:
    """Levels of each round: none is always the first."""
    orders = itertools.cycle(itertools.permutations(LEVELS))
    return (tuple(order) for order in orders)


def scripts(args: argparse.Namespace, work: Path, done: Done) -> None:
    """Race in a people's loop over a DataLoader."""
    hardware = choose_hardware()
    torch.manual_seed(0)
    model = hardware.placed(timm.create_model(args.model, num_classes=CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss_function = nn.CrossEntropyLoss()
    count = args.batch_size * args.steps
    shape = (count, 3, args.image_size, args.image_size)
    images = torch.randn(shape).to(memory_format=hardware.memory_format)
    loader = DataLoader(
        TensorDataset(images, torch.randint(0, CLASSES, (count,))),
        args.batch_size,
        num_workers=args.workers,
        pin_memory=hardware.device.type == "cuda",
    )

    def train(level: str) -> Turn:
        folder = work / level
        shutil.rmtree(folder, ignore_errors=True)
        sampler = SystemSampler(folder, "algo-1")
        if level != OFF:
            sampler.start()
            watch_script(folder, _configuration(level, args.steps))
        clock = Clock()
        for batch in loader:
            pictures, labels = (part.to(hardware.device, non_blocking=True) for part in batch)
            optimizer.zero_grad()
            with hardware.autocast():
                loss = loss_function(model(pictures), labels)
            loss.backward()
            optimizer.step()
            loss.item()
            clock.step_done()
        if level != OFF:
            stop_watching()
            sampler.stop()
        return clock.turn(_facts(folder))

    train(OFF)
    for order in _order():
        turns = {level: train(level) for level in order}
        if done(turns):
            return


class Switch(Observer):
    """Passes on what it sees to a profiler of the turn's level, or to nobody.

    An epoch is a round: its validation and checkpoint are off the clock.
    """

    def __init__(self, args: argparse.Namespace, work: Path, done: Done, stop: StopRequest) -> None:
        self._steps = args.steps
        self._work = work
        self._done = done
        self._stop = stop
        self._run: RunStarted | None = None
        self._orders = _order()
        self._waiting: list[str] = []
        self._turns: dict[str, Turn] = {}
        self._epoch = 0
        self._level = ""
        self._profiler: TrainingProfiler | None = None
        self._sampler: SystemSampler | None = None
        self._clock: Clock | None = None

    def run_started(self, run: RunStarted) -> None:
        """Keep it: every profiler is told."""
        self._run = run

    def epoch_started(self, epoch: int) -> None:
        """A round begins; the first one warms up."""
        self._epoch, self._turns = epoch, {}
        self._waiting = list(next(self._orders))
        self._begin()

    def phase_started(self, phase: Phase) -> None:
        """Pass it on."""
        if self._profiler is not None:
            self._profiler.phase_started(phase)

    def phase_ended(self, phase: Phase) -> None:
        """Pass it on."""
        if self._profiler is not None:
            self._profiler.phase_ended(phase)

    def batch_loaded(self, load: BatchLoaded) -> None:
        """Pass it on."""
        if self._profiler is not None:
            self._profiler.batch_loaded(load)

    def step_ended(self, step: StepEnded) -> None:
        """Pass it on, and end a turn that has all its steps."""
        if self._clock is None:
            return
        if self._profiler is not None:
            self._profiler.step_ended(step)
        if self._clock.step_done() < self._steps:
            return
        self._end()
        if self._waiting:
            self._begin()
        elif self._epoch > 1 and self._done(self._turns):
            self._stop.stop()

    def run_ended(self, error: BaseException | None) -> None:
        """A round that was broken off does not count."""
        if self._clock is not None:
            self._end()

    def _begin(self) -> None:
        self._level = self._waiting.pop()
        folder = self._work / self._level
        shutil.rmtree(folder, ignore_errors=True)
        if self._level != OFF:
            self._sampler = SystemSampler(folder, "algo-1")
            self._sampler.start()
            configuration = _configuration(self._level, self._steps)
            self._profiler = TrainingProfiler(StepRecorder(folder, configuration=configuration))
            assert self._run is not None
            self._profiler.run_started(self._run)
        self._clock = Clock()

    def _end(self) -> None:
        assert self._clock is not None
        if self._profiler is not None:
            self._profiler.run_ended(None)
            self._profiler = None
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None
        self._turns[self._level] = self._clock.turn(_facts(self._work / self._level))
        self._clock = None


def clarys_own(args: argparse.Namespace, work: Path, done: Done) -> None:
    """Race in Clary's own training."""
    random = np.random.default_rng(0)
    side, count = args.image_size, len(LEVELS) * args.steps * args.batch_size

    def made(pictures: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (pictures, side, side, 3)
        return random.integers(0, 256, shape, dtype=np.uint8), np.arange(pictures) % CLASSES

    stop = StopRequest()
    with contextlib.suppress(Interrupted):
        finetune(
            InMemory({"train": made(count), "valid": made(CLASSES)}),
            output=work / "run",
            options=TrainingOptions(
                model=args.model,
                weights="none",
                trainable_layers="all",
                batch_size=args.batch_size,
                image_size=side,
                epochs=args.rounds + 2,
                patience=0,
            ),
            observers=[Switch(args, work, done, stop)],
            settings=Settings.from_environment(),
            stop=stop,
        )
