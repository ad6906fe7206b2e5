"""Sees where the time of anybody's loop goes: the machine beside it, and its steps."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

import torch
from torch.utils.data import DataLoader

from clary.errors import UsageError
from clary.formats.files import storage_errors
from clary.formats.profiler_configuration import FULL_OPERATORS, ProfilerConfiguration
from clary.formats.timeline import PHASES, Mode, SpanKind
from clary.formats.timeline.writer import worker_folder
from clary.profiler.recording.process import device_name, process_facts, worker_name
from clary.profiler.recording.step_recorder import StepRecorder
from clary.profiler.recording.telling import say
from clary.profiler.sampling.sampler_process import SamplerProcess, program_environment
from clary.profiler.scripts.loader_watch import loading_of, pictures_of
from clary.profiler.scripts.loads_watch import LoadsWatch

PAGE = "profile.html"
ModeName = Literal["train", "eval"]
_MODES: Mapping[str, Mode] = {"train": Mode.TRAIN, "eval": Mode.EVAL}
_Batch = TypeVar("_Batch")


class Profiler:
    """Samples the machine and records the steps of a loop, until it is closed.

        with Profiler("profile", batch_size=32) as profiler:
            for images, labels in profiler.loading(loader):
                with profiler.phase("forward"): …

    Who owns it: the thread that trains. Made where the training begins, one in each process of it,
    in a folder that all of them share. Once it is made, nothing that fails in it stops the
    training. In a fork of its process it does nothing.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        batch_size: int | None = None,
        full: bool = False,
        configuration: ProfilerConfiguration | None = None,
        worker: str | None = None,
        node: str = "algo-1",
        machine: bool | None = None,
        report: bool = False,
    ) -> None:
        """Begin.

        Args:
            folder: takes what is seen; must hold no profile of this process yet.
            batch_size: how many pictures a step learns from, where it is known.
            full: look into torch's operators for ten steps.
            configuration: the interval between samples, and which steps are looked into.
            worker: `worker_<rank>`; by default what torch.distributed or torchrun say.
            node: `algo-<n>` for host n of several.
            machine: sample the machine; by default the first process of each host does.
            report: write `profile.html` into the folder at the end.

        Raises:
            UsageError: the folder holds a profile already, or two arguments exclude each other.
            StorageError: the folder cannot be made.
        """
        if full and configuration is not None:
            raise UsageError("full stands beside a configuration: give its operators in place")
        self.folder = Path(folder).absolute()
        name = worker or worker_name()
        if worker_folder(self.folder, name).exists():
            raise UsageError(
                f"{folder} holds a profile of {name} already: remove it, or name another folder"
            )
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        asked = configuration or ProfilerConfiguration()
        if full:
            asked = replace(asked, operators=FULL_OPERATORS)
        self._owner, self._made_ns = os.getpid(), perf_counter_ns()
        self._report, self._closed = report, False
        self._begun = 0
        self._evaluations = 0
        facts = {**process_facts(), "node": node, "batch_size": batch_size}
        self._recorder = StepRecorder(self.folder, name, asked, **facts)
        self._loads = LoadsWatch(self.folder, self._recorder)
        self._sampler: SamplerProcess | None = None
        first_of_host = os.environ.get("LOCAL_RANK", "0") in {"", "0"}
        if not asked.disabled and (first_of_host if machine is None else machine):
            self._sampler = SamplerProcess(self.folder, node, asked.interval_ms)
        atexit.register(self.close)

    def loading(self, loader: Iterable[_Batch], mode: ModeName = "train") -> Steps[_Batch]:
        """The batches of a loader; each one begins a step, with waiting for it.

        Args:
            loader: torch's DataLoader, or anything that gives batches.
            mode: `train`, or `eval` for an evaluation.

        Raises:
            UsageError: there is no such mode.
        """
        return Steps(self, loader, _mode(mode))

    @contextmanager
    def step(self, mode: ModeName = "train") -> Iterator[None]:
        """A step around the block, for loops that load their batches themselves.

        Raises:
            UsageError: there is no such mode.
        """
        self._begin_step(_mode(mode))
        try:
            yield
        finally:
            self._recorder.end_step()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase of the current step, around the block.

        Args:
            name: `data`, `transfer`, `forward`, `backward` or `optimizer`.

        Raises:
            UsageError: there is no such phase.
        """
        if name not in PHASES:
            raise UsageError(f"{name!r} is no phase of a step: choose among {', '.join(PHASES)}")
        with self._recorder.phase(name):
            yield

    @contextmanager
    def span(self, kind: SpanKind, label: str = "") -> Iterator[None]:
        """Something that takes its time beside the steps, around the block.

        Args:
            kind: such as `evaluation` or `checkpoint`; `other` for what has no name here.
            label: what it is, in words.
        """
        evaluation = kind == "evaluation"
        self._evaluations += evaluation
        try:
            with self._recorder.span(kind, label):
                yield
        finally:
            self._evaluations -= evaluation

    def facts(self, **known: Any) -> None:
        """Say what the report shows of the training: fields of `Facts`, such as `epochs`."""
        self._recorder.facts(**known)

    def close(self) -> None:
        """Write what waits, end the sampling, and write the report where one is wanted."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._loads.close()
        self._recorder.close()
        if self._sampler is not None:
            self._sampler.stop()
        if self._report:
            self._write_report()

    def __enter__(self) -> Profiler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin_step(self, mode: Mode) -> None:
        self._recorder.begin_step(mode)
        self._begun += 1
        if self._begun == 1:
            self._recorder.add_span("initialization", self._made_ns, perf_counter_ns())
        elif self._begun == 2:  # by now it is known
            on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
            device = torch.device("cuda" if on_gpu else "cpu")
            self._recorder.facts(device=device_name(device))

    def _batches(self, loader: Iterable[_Batch], mode: Mode) -> Generator[_Batch, None, None]:
        recorder = self._recorder
        if isinstance(loader, DataLoader):
            field = "train_loading" if mode == Mode.TRAIN else "valid_loading"
            recorder.facts(**{field: loading_of(loader)})
        batches = iter(loader)
        try:
            while True:
                self._begin_step(mode)
                with recorder.phase("data"):
                    try:
                        batch = next(batches)
                    except BaseException as error:
                        recorder.cancel_step()
                        if isinstance(error, StopIteration):
                            return
                        raise
                recorder.add_pictures(pictures_of(batch))
                yield batch
        finally:
            recorder.end_step()

    def _write_report(self) -> None:
        command = [sys.executable, "-m", "clary.jobs.profile", str(self.folder)]
        command += ["-o", str(self.folder / PAGE)]
        try:
            ended = subprocess.run(
                command,
                cwd="/",
                env=program_environment(),
                stdout=subprocess.DEVNULL,
                check=False,
            )
        except OSError as error:
            say(f"there is no report, because {sys.executable} does not start: {error}")
        else:
            if ended.returncode:
                say(f"there is no report: see what `clary profile {self.folder}` says")


class Steps(Generic[_Batch]):
    """The batches of a loader, as a loop takes them; each `for` over it is one pass."""

    def __init__(self, profiler: Profiler, loader: Iterable[_Batch], mode: Mode) -> None:
        self._profiler = profiler
        self._loader = loader
        self._mode = mode

    def __len__(self) -> int:
        """What the loader says."""
        return len(self._loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[_Batch]:
        profiler = self._profiler
        if self._mode == Mode.EVAL and not profiler._evaluations:
            with profiler.span("evaluation"):
                yield from profiler._batches(self._loader, self._mode)
        else:
            yield from profiler._batches(self._loader, self._mode)


def _mode(name: str) -> Mode:
    if name not in _MODES:
        raise UsageError(f"{name!r} is no mode of a step: choose train or eval")
    return _MODES[name]
