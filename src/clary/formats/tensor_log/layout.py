"""Where things lie in a tensor log.

    statistics/<number, 8 digits>-<worker>.sqlite   segments: whole and final once they are there
    statistics/.<number>-<worker>.live              a JSON line per capture: the next segment
    tensors/<step, 12 digits>/<worker>.safetensors  raw tensors of more than 4 KiB
    collections/<worker>.json                       how the hook was configured
    failures/<worker>.jsonl                         what went wrong with the watching itself
    ended/<worker>.json                             the worker has closed its log
    training_job_end.ts                             the training is over

Names that begin with a dot are the writer's own: nobody copies them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clary.errors import UsageError

VERSION = 1
SEGMENTS = "statistics"
TENSORS = "tensors"
COLLECTIONS = "collections"
FAILURES = "failures"
ENDED = "ended"
TRAINING_END = "training_job_end.ts"
# Raw tensors up to this size stand in the segments, so that losses make no files of their own.
INLINE_LIMIT_BYTES = 4096

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_WORKER = re.compile(_NAME)
_SEGMENT = re.compile(rf"(\d{{8,}})-({_NAME})\.sqlite")
_LIVE = re.compile(rf"\.(\d{{8,}})-({_NAME})\.live")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class WorkerPaths:
    """The files of one worker.

    Raises:
        UsageError: the worker's name cannot be part of a file's name.
    """

    folder: Path
    worker: str

    def __post_init__(self) -> None:
        if not _WORKER.fullmatch(self.worker):
            raise UsageError(
                f"the worker's name is {self.worker!r}, but it becomes part of file names: "
                "use up to 100 letters, digits, _, . and -, such as worker_0"
            )

    @property
    def segments(self) -> Path:
        """The folder of segments and of the live file."""
        return self.folder / SEGMENTS

    @property
    def collections(self) -> Path:
        """How the hook was configured."""
        return self.folder / COLLECTIONS / f"{self.worker}.json"

    @property
    def failures(self) -> Path:
        """What went wrong with the watching itself, a JSON object a line."""
        return self.folder / FAILURES / f"{self.worker}.jsonl"

    @property
    def ended(self) -> Path:
        """There once the worker has closed its log."""
        return self.folder / ENDED / f"{self.worker}.json"

    @property
    def lock(self) -> Path:
        """Held by the process that writes."""
        return self.segments / f".{self.worker}.lock"

    @property
    def reserve(self) -> Path:
        """Space kept for saying that there is none left."""
        return self.segments / f".{self.worker}.reserve"

    @property
    def passes(self) -> Path:
        """How many forward passes were counted."""
        return self.segments / f".{self.worker}.passes"

    @property
    def sealing(self) -> Path:
        """A segment that is being written."""
        return self.segments / f".{self.worker}.sealing"

    @property
    def storing(self) -> Path:
        """A file of raw tensors that is being written."""
        return self.folder / TENSORS / f".{self.worker}.storing"

    def segment(self, number: int) -> Path:
        """A segment by its number."""
        return self.segments / f"{number:08}-{self.worker}.sqlite"

    def live(self, number: int) -> Path:
        """What becomes the segment of that number."""
        return self.segments / f".{number:08}-{self.worker}.live"

    def tensors(self, step: int, part: int = 1) -> str:
        """A file of raw tensors, relative to the log; a step seldom has several."""
        suffix = "" if part == 1 else f".{part}"
        return f"{TENSORS}/{step:012}/{self.worker}{suffix}.safetensors"


def segment_of(name: str) -> tuple[int, str] | None:
    """The number and the worker of a segment's file name; None when it is none."""
    found = _SEGMENT.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def live_of(name: str) -> tuple[int, str] | None:
    """The number and the worker of a live file's name; None when it is none."""
    found = _LIVE.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def stays_inside(name: str) -> bool:
    """Whether a path that a file names leads nowhere but into the log's own folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def worker_order(worker: str) -> tuple[tuple[int, int | str], ...]:
    """What workers are sorted by: `worker_2` before `worker_10`."""
    parts = _DIGITS.split(worker)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts if part)
