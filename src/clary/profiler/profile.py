"""What is known of a job's time, read from the files of all its hosts while they grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from clary.formats.system_metrics import SystemMetrics
from clary.formats.timeline.entries import Facts, Mode, Span
from clary.formats.timeline.reader import STEP_DTYPE, Timeline, Worker

Floats = npt.NDArray[np.float64]
_Computed = TypeVar("_Computed")


@dataclass(frozen=True)
class JobTimes:
    """When the job began and ended, in seconds since 1970, as the service or the program says.

    None: not known, or not over yet.
    """

    name: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else a report shows of the job, by the words it uses: instance type, status, …"""


class Host:
    """One host of a job: what its machine did, and what its processes did. One thread uses it."""

    def __init__(self, name: str, folder: Path) -> None:
        """Nothing is read before the first refresh.

        Args:
            name: such as `algo-1`.
            folder: its folder of the profiler, which need not exist yet.
        """
        self.name = name
        self.folder = folder
        self.system = SystemMetrics(folder)
        self.timeline = Timeline(folder)

    @property
    def workers(self) -> Mapping[str, Worker]:
        """The processes that train, by name."""
        return self.timeline.workers

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            OSError: a file cannot be read.
        """
        return any([self.system.refresh(), self.timeline.refresh()])


class Profile:
    """All hosts of a job. One thread uses it; it changes when it is refreshed."""

    def __init__(self, hosts: Sequence[Host], job: JobTimes | None = None) -> None:
        """Nothing is read before the first refresh."""
        self.hosts = tuple(hosts)
        self.job = job or JobTimes()
        self._computed: dict[str, tuple[JobTimes, object]] = {}

    @classmethod
    def open(cls, folders: Sequence[Path], job: JobTimes | None = None) -> Profile:
        """Of the folders of a job's hosts, `algo-1` first, read once.

        Raises:
            FormatError: a file is damaged, or of a later version.
            OSError: a file cannot be read.
        """
        profile = cls.of(folders, job)
        profile.refresh()
        return profile

    @classmethod
    def of(cls, folders: Sequence[Path], job: JobTimes | None = None) -> Profile:
        """Of the folders of a job's hosts, `algo-1` first; nothing is read before a refresh."""
        return cls([Host(f"algo-{n}", folder) for n, folder in enumerate(folders, 1)], job)

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            OSError: a file cannot be read.
        """
        self._computed.clear()
        news = [host.refresh() for host in self.hosts]
        return any(news)

    def once(self, name: str, compute: Callable[[Profile], _Computed]) -> _Computed:
        """What is computed of it, once until it changes; several rules ask for the same."""
        known = self._computed.get(name)
        if known is None or known[0] is not self.job:
            known = self._computed[name] = (self.job, compute(self))
        return cast(_Computed, known[1])

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The processes that train, of all hosts."""
        return tuple(worker for host in self.hosts for worker in host.workers.values())

    @property
    def main(self) -> Worker | None:
        """The process whose steps speak for the training; None while there is none.

        That is the first, unless another has trained more than twice as long: one command may run
        several programs.
        """
        return self.once("main", lambda one: _main(one.workers))

    @property
    def ranks(self) -> tuple[Worker, ...]:
        """The processes that train together, the one that speaks for them among them."""
        main = self.main
        trained = [one for one in self.workers if len(one.steps(Mode.TRAIN))]
        if main is None or not trained:
            return ()
        # A second program of the same rank has its process in its name.
        return tuple(one for one in trained if one is main or not _is_of_rank(one, main))

    @property
    def programs(self) -> int:
        """How many programs trained, one after the other or beside each other."""
        main = self.main
        others = [one for one in self.workers if len(one.steps(Mode.TRAIN)) and one is not main]
        return 1 + sum(main is not None and _is_of_rank(one, main) for one in others)

    @property
    def facts(self) -> Facts | None:
        """What that process says of itself."""
        return None if self.main is None else self.main.facts

    @property
    def spans(self) -> tuple[Span, ...]:
        """Of that process."""
        return () if self.main is None else self.main.spans

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""
        sampling = [text for host in self.hosts for text in host.system.failures]
        recording = [text for worker in self.workers for text in worker.failures]
        return tuple(dict.fromkeys(sampling + recording))

    @property
    def bounds(self) -> tuple[float, float] | None:
        """First and last moment that is known of, in seconds since 1970; None where nothing is."""
        moments = [m for m in (self.job.started_s, self.job.ended_s) if m is not None]
        for host in self.hosts:
            for dimension, name in host.system.keys:
                times, _ = host.system.series(dimension, name)
                moments += [float(times[0]), float(times[-1])]
        for worker in self.workers:
            steps = worker.steps()
            if len(steps):
                ends = steps["start_us"] / 1e6 + steps["seconds"]
                moments += [float(steps["start_us"][0]) / 1e6, float(ends.max())]
            for span in worker.spans:
                moments += [span.start_us / 1e6, span.end_us / 1e6]
        return (min(moments), max(moments)) if moments else None

    def steps(self, mode: Mode | None = None) -> npt.NDArray[Any]:
        """Of that process: `STEP_DTYPE`."""
        return np.empty(0, STEP_DTYPE) if self.main is None else self.main.steps(mode)


def _main(workers: Sequence[Worker]) -> Worker | None:
    if not workers:
        return None
    trained = [float(one.steps(Mode.TRAIN)["seconds"].sum()) for one in workers]
    longest = max(trained)
    return next(
        one for one, seconds in zip(workers, trained, strict=True) if seconds * 2 >= longest
    )


def _is_of_rank(one: Worker, other: Worker) -> bool:
    """Whether two processes would be the same one of a distributed training."""
    same_host = one.folder.parent == other.folder.parent
    return same_host and one.name.partition("-")[0] == other.name.partition("-")[0]
