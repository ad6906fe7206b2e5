"""Profiles that nobody measured: jobs as they would be written, stretch by stretch.

    job = MadeJob(folder, cores=4)
    job.initialize(5)
    job.train(100, data=0.02, forward=0.06, backward=0.1, optimizer=0.01)
    job.evaluate(20, 0.04)
    job.checkpoint(0.5)
    profile = job.end()          # writes the machine's samples, too

`well_built(folder)` and its like are whole jobs; `everything(folder)` has all that can be there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from clary.formats.system_metrics import Metric, append_snapshot
from clary.formats.timeline import (
    PHASES,
    Facts,
    Loading,
    LoadRecord,
    LoadWriter,
    Mode,
    Span,
    SpanKind,
    StepRecord,
    TimelineWriter,
)
from clary.formats.timeline.entries import Function, Functions, Operator, Operators
from clary.profiler.profile import Host, JobTimes, Profile

START_S = 1_760_000_000.0
GIB = float(1 << 30)


@dataclass
class Machine:
    """What the samples of a stretch say: percent, and bytes; of all cores and all GPUs alike."""

    cpu: float = 95.0
    io_wait: float = 0.5
    memory: float = 40.0
    gpu: float = 90.0
    gpu_memory: float = 60.0
    process: float | None = None
    """Percent of one core, of the job; None is what `cpu` says of all cores."""
    resident: float = 2 * GIB
    noise: float = 2.0


@dataclass
class MadeJob:
    """Writes one process of a job and its machine; `now` is where its clock stands."""

    folder: Path
    cores: int = 4
    gpus: int = 0
    node: str = "algo-1"
    worker: str = "worker_0"
    batch_size: int = 32
    loading: Loading = field(default_factory=lambda: Loading("DataLoader", workers=4))
    interval_s: float = 0.5
    seed: int = 0
    start_s: float = START_S
    machine: Machine = field(default_factory=Machine)
    leak_bytes_s: float = 0.0
    """By so much the resident memory grows a second from the first step on."""
    gpu_use: dict[str, float] = field(default_factory=dict)
    """Percent of single GPUs, by name, where they differ."""

    def __post_init__(self) -> None:
        self.now = self.start_s
        self.writer = TimelineWriter(self.folder, self.worker)
        self.rng = np.random.default_rng(self.seed)
        self._stretches: list[tuple[float, Machine]] = []
        self._steps = {Mode.TRAIN: 0, Mode.EVAL: 0}
        self._loads: list[LoadRecord] = []
        self._loop_begins: float | None = None
        device = f"cuda:0 NVIDIA H200 ({self.gpus})" if self.gpus else "cpu"
        self.facts = Facts(
            worker=self.worker,
            pid=4711,
            node=self.node,
            started_us=int(self.start_s * 1e6),
            framework="torch 2.15.0",
            device=device,
            cores=self.cores,
            threads=self.cores,
            precision="fp32",
            program="python train.py --batch-size 32",
            batch_size=self.batch_size,
            train_loading=self.loading,
        )
        self.writer.write_facts(self.facts)

    def initialize(self, seconds: float) -> None:
        """Until the first step."""
        self.span("initialization", seconds, machine=replace(self.machine, cpu=30.0, gpu=0.0))

    def train(
        self,
        steps: int,
        *,
        data: float = 0.005,
        transfer: float = 0.001,
        forward: float = 0.06,
        backward: float = 0.11,
        optimizer: float = 0.01,
        own: float = 0.002,
        noise: float = 0.03,
        device: Sequence[float] | None = None,
        pictures: int | None = None,
        merged: int = 1,
        machine: Machine | None = None,
    ) -> None:
        """Training steps with these phases, in seconds each."""
        phases = (data, transfer, forward, backward, optimizer)
        self._take(Mode.TRAIN, steps, phases, own, noise, device, pictures, merged, machine)

    def evaluate(
        self, steps: int, each: float, *, span: bool = True, machine: Machine | None = None
    ) -> None:
        """Steps of an evaluation, and the span around them."""
        begin = self.now
        phases = (0.05 * each, 0.0, 0.9 * each, float("nan"), float("nan"))
        self._take(Mode.EVAL, steps, phases, 0.05 * each, 0.02, None, None, 1, machine)
        if span:
            self._write_span("evaluation", begin, self.now, "valid")

    def checkpoint(self, seconds: float, *, inside_a_step: bool = True) -> None:
        """A checkpoint; the last step lasts until it is over, as recorders see it."""
        begin = self.now
        self.span("checkpoint", seconds, label="model.pt")
        if inside_a_step and self._last is not None:
            record = self._last
            phases = record.phases_s
            self._last = replace(
                record,
                seconds=record.seconds + self.now - begin,
                longest_s=record.seconds + self.now - begin,
                phases_s=phases,
            )

    def span(
        self,
        kind: SpanKind,
        seconds: float,
        *,
        label: str = "",
        machine: Machine | None = None,
    ) -> None:
        """Something beside the steps."""
        begin = self.now
        self.pass_time(seconds, machine)
        self._write_span(kind, begin, self.now, label)

    def pass_time(self, seconds: float, machine: Machine | None = None) -> None:
        """Nothing that is recorded; the machine goes on."""
        self.now += seconds
        self._stretches.append((self.now, machine or self.machine))

    def load(
        self, batches: int, seconds: float, *, busy: float = 1.0, workers: int | None = None
    ) -> None:
        """Batches as the loader made them, over the time so far, one after the other per worker."""
        count = self.loading.workers if workers is None else workers
        begin = self._loop_begins or self.start_s
        for batch in range(batches):
            at = begin + (self.now - begin) * batch / max(1, batches)
            worker = batch % count if count else -1
            self._loads.append(
                LoadRecord(int(at * 1e6), seconds, self.batch_size, worker, busy * seconds)
            )

    def flush(self) -> None:
        """Write the steps that are held back."""
        if self._last is not None:
            self.writer.write_steps([self._last])
            self._last = None

    def end(self, *, finalize: float = 1.0, ended: bool = True) -> Profile:
        """Write all that is left, the machine's samples too; the profile, read anew."""
        self.flush()
        if finalize:
            self.pass_time(finalize, replace(self.machine, cpu=10.0, gpu=0.0))
        if ended:
            self.facts = replace(self.facts, ended_us=int(self.now * 1e6))
        self.writer.write_facts(self.facts)
        self.writer.close()
        if self._loads:
            loads = LoadWriter(self.folder, self.worker)
            for record in self._loads:
                loads.write(record)
        self.sample()
        return self.profile(ended=ended)

    def sample(self) -> None:
        """Write the machine's samples over the whole time."""
        at = self.start_s
        stretches = iter(self._stretches)
        until, machine = next(stretches, (self.now, self.machine))
        while at <= self.now:
            while at > until:
                until, machine = next(stretches, (self.now, self.machine))
            append_snapshot(self.folder, self.node, at, self._metrics(machine, at))
            at += self.interval_s

    def profile(self, *, ended: bool = True) -> Profile:
        """As a reader sees it."""
        times = JobTimes("made-up", self.start_s, self.now if ended else None)
        profile = Profile([Host(self.node, self.folder)], times)
        profile.refresh()
        return profile

    _last: StepRecord | None = field(default=None, init=False, repr=False)

    def _take(
        self,
        mode: Mode,
        steps: int,
        phases: Sequence[float],
        own: float,
        noise: float,
        device: Sequence[float] | None,
        pictures: int | None,
        merged: int,
        machine: Machine | None,
    ) -> None:
        self.flush()
        if self._loop_begins is None:
            self._loop_begins = self.now
        records = []
        for _ in range(0, steps, merged):
            factor = float(np.exp(self.rng.normal(0, noise))) if noise else 1.0
            taken = tuple(one * factor * merged for one in phases)
            seconds = float(np.nansum(taken)) + own * factor * merged
            records.append(
                StepRecord(
                    mode=mode,
                    step=self._steps[mode],
                    start_us=round(self.now * 1e6),
                    seconds=seconds,
                    longest_s=seconds / merged,
                    merged=merged,
                    pictures=(self.batch_size if pictures is None else pictures) * merged,
                    phases_s=taken,
                    device_s=tuple(device) if device is not None else (float("nan"),) * len(PHASES),
                )
            )
            self._steps[mode] += merged
            self.now += seconds
        self._stretches.append((self.now, machine or self.machine))
        if records:
            self.writer.write_steps(records[:-1])
            self._last = records[-1]

    def _write_span(self, kind: SpanKind, begin: float, end: float, label: str) -> None:
        self.writer.write_span(Span(kind, round(begin * 1e6), round(end * 1e6), label))

    def _metrics(self, machine: Machine, at: float) -> list[Metric]:
        def about(value: float, top: float = 100.0) -> float:
            return float(np.clip(value + self.rng.normal(0, machine.noise), 0.0, top))

        process = machine.cpu * self.cores if machine.process is None else machine.process
        training_s = max(0.0, at - self._loop_begins) if self._loop_begins is not None else 0.0
        metrics = [
            Metric("memory", "MemoryUsedPercent", "Memory", machine.memory + 0.02 * about(1.0)),
            Metric("network", "ReceiveBytesPerSecond", "Algorithm", about(2e5, 1e9)),
            Metric("network", "TransmitBytesPerSecond", "Algorithm", about(1e5, 1e9)),
            Metric("i/o", "ReadThroughputInBytesPerSecond", "Disk", about(5e6, 1e9)),
            Metric("i/o", "WriteThroughputInBytesPerSecond", "Disk", about(1e6, 1e9)),
            Metric("process", "CPUUtilization", "Process", about(process, 1e6)),
            Metric(
                "process",
                "MemoryBytes",
                "Process",
                machine.resident + self.leak_bytes_s * training_s + 1e6 * self.rng.normal(),
            ),
            Metric("process", "Processes", "Process", 1.0 + (self.loading.workers or 0)),
        ]
        for core in range(self.cores):
            metrics.append(Metric("cpu", f"cpu{core}", "CPUUtilization", about(machine.cpu)))
            metrics.append(Metric("cpu", f"cpu{core}", "I/OWaitPercentage", about(machine.io_wait)))
        for gpu in range(self.gpus):
            use = self.gpu_use.get(f"gpu{gpu}", machine.gpu)
            metrics.append(Metric("gpu", f"gpu{gpu}", "GPUUtilization", about(use)))
            metrics.append(
                Metric("gpu", f"gpu{gpu}", "GPUMemoryUtilization", about(machine.gpu_memory))
            )
        return metrics


def well_built(folder: Path, *, epochs: int = 3, gpus: int = 0) -> Profile:
    """Nothing to complain about: about a minute."""
    job = MadeJob(folder, gpus=gpus)
    job.initialize(4.0)
    for _ in range(epochs):
        job.train(100)
        job.evaluate(20, 0.06)
        job.checkpoint(0.2)
    job.load(100 * epochs, 0.2)
    return job.end()


def slow_loading(folder: Path, *, busy: float = 1.0) -> Profile:
    """Batches are made in the training's own process: decoded, or (`busy=0`) slept for."""
    job = MadeJob(
        folder,
        loading=Loading("DataLoader", workers=0, pin_memory=False, batch_size=32),
        machine=Machine(cpu=60.0 if busy >= 0.5 else 45.0),
    )
    job.initialize(4.0)
    for _ in range(2):
        job.train(80, data=0.28)
        job.evaluate(10, 0.06)
    job.load(160, 0.28, busy=busy)
    return job.end()


def small_batches(folder: Path) -> Profile:
    """Two pictures a step, and an optimizer that takes as long as for any."""
    job = MadeJob(folder, batch_size=2, machine=Machine(cpu=50.0))
    job.initialize(4.0)
    job.train(1000, data=0.001, forward=0.008, backward=0.014, optimizer=0.009, own=0.002)
    return job.end()


def leaking(folder: Path, *, bytes_s: float = 8e6) -> Profile:
    """Keeps a little of every step."""
    job = MadeJob(folder, leak_bytes_s=bytes_s)
    job.initialize(4.0)
    job.train(300)
    return job.end()


def often_evaluated(folder: Path) -> Profile:
    """Evaluates after each step."""
    job = MadeJob(folder)
    job.initialize(4.0)
    for _ in range(60):
        job.train(1)
        job.evaluate(8, 0.06)
    return job.end()


def often_saved(folder: Path) -> Profile:
    """Saves a checkpoint after each step."""
    job = MadeJob(folder)
    job.initialize(4.0)
    for _ in range(100):
        job.train(1)
        job.checkpoint(0.25)
    return job.end()


def own_work(folder: Path) -> Profile:
    """Counts, prints and logs between its steps."""
    job = MadeJob(folder, machine=Machine(cpu=60.0))
    job.initialize(4.0)
    job.train(150, own=0.15)
    return job.end()


def outlying(folder: Path) -> Profile:
    """Some steps take ten times as long."""
    job = MadeJob(folder)
    job.initialize(4.0)
    for _ in range(15):
        job.train(19)
        job.train(1, own=2.0)
    return job.end()


def idle_gpu(folder: Path) -> Profile:
    """A GPU that waits for its data."""
    job = MadeJob(
        folder,
        gpus=1,
        cores=8,
        loading=Loading("DataLoader", workers=1, pin_memory=False),
        machine=Machine(cpu=20.0, gpu=15.0),
    )
    job.initialize(4.0)
    job.train(
        300,
        data=0.15,
        forward=0.01,
        backward=0.015,
        optimizer=0.003,
        device=(float("nan"), 0.001, 0.009, 0.014, 0.003),
    )
    job.load(300, 0.17)
    return job.end()


def everything(folder: Path) -> Profile:
    """All that a profile can hold: operators, functions, spans of all kinds, a GPU, outliers."""
    job = MadeJob(folder, gpus=1)
    job.initialize(4.0)
    for epoch in range(3):
        job.span("loader_start", 0.3)
        job.train(100, device=(float("nan"), 0.001, 0.055, 0.1, 0.008))
        job.train(1, own=1.0)
        job.evaluate(20, 0.06)
        job.checkpoint(0.2)
        if not epoch:
            job.writer.write_operators(_operators(job))
            job.writer.write_functions(_functions(job))
    job.load(300, 0.2)
    return job.end()


MADE: dict[str, Callable[[Path], Profile]] = {
    "well_built": well_built,
    "slow_loading": slow_loading,
    "small_batches": small_batches,
    "leaking": leaking,
    "often_evaluated": often_evaluated,
    "often_saved": often_saved,
    "own_work": own_work,
    "outlying": outlying,
    "idle_gpu": idle_gpu,
    "everything": everything,
}


def _operators(job: MadeJob) -> Operators:
    names = ("aten::convolution_backward", "aten::mkldnn_convolution", "aten::native_batch_norm")
    return Operators(
        first=5,
        last=14,
        mode=Mode.TRAIN,
        start_us=round((job.start_s + 5) * 1e6),
        seconds=1.9,
        operators=tuple(
            Operator(name, 200 - 10 * n, 0.6 / (n + 1), 0.7 / (n + 1), 0.5 / (n + 1), 0.6 / (n + 1))
            for n, name in enumerate(names)
        ),
        trace=None,
        peak_memory_bytes=1 << 30,
    )


def _functions(job: MadeJob) -> Functions:
    return Functions(
        first=5,
        last=14,
        mode=Mode.TRAIN,
        start_us=round((job.start_s + 5) * 1e6),
        seconds=1.9,
        functions=(
            Function("train", "train.py", 40, 10, 0.2, 1.9),
            Function("forward", "resnet.py", 266, 10, 0.1, 0.6),
        ),
    )
