"""What a timeline holds. Times are in seconds, moments in microseconds since 1970."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal, TypeVar

from clary.errors import FormatError

VERSION = 1

PHASES = ("data", "transfer", "forward", "backward", "optimizer")
"""The phases of a step, in the order in which they follow each other."""

SpanKind = Literal[
    "initialization", "evaluation", "checkpoint", "loader_start", "features", "operators", "other"
]

_NAN = math.nan
_NO_TIMES = (_NAN,) * len(PHASES)


class Mode(IntEnum):
    """What the model was doing."""

    TRAIN = 1
    EVAL = 2


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step, or several short ones that follow each other.

    `step` counts from 0 within its mode and is that of the first; `merged` is how many there are.
    A step begins with waiting for its data and ends where the next one begins, so that steps fill
    their time. `phases_s` are sums over the merged steps in the order of `PHASES`, as the host
    sees them; `device_s` are those of the accelerator by its own events. NaN is not measured.
    What `phases_s` leave of `seconds` is the script's own: printing, logging, `.item()`.
    """

    mode: Mode
    step: int
    start_us: int
    seconds: float
    longest_s: float
    merged: int = 1
    pictures: int = 0
    phases_s: tuple[float, ...] = _NO_TIMES
    device_s: tuple[float, ...] = _NO_TIMES

    # Little-endian, without gaps; `reader.STEP_DTYPE` is the same for numpy.
    LAYOUT = struct.Struct("<BxxxIqqIff5f5f")

    def pack(self) -> bytes:
        """As it stands in a file."""
        return self.LAYOUT.pack(
            self.mode,
            self.merged,
            self.step,
            self.start_us,
            self.pictures,
            self.seconds,
            self.longest_s,
            *self.phases_s,
            *self.device_s,
        )


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One batch as a loader made it, in the training's own process or in one of its workers.

    `worker` counts from 0; -1 is the process that trains. `cpu_s` is what its process used of
    `seconds`: what is left of them it waited, for a disk or a network. NaN is not measured.
    """

    start_us: int
    seconds: float
    pictures: int
    worker: int
    cpu_s: float = _NAN

    LAYOUT = struct.Struct("<qfIif")

    def pack(self) -> bytes:
        """As it stands in a file."""
        return self.LAYOUT.pack(self.start_us, self.seconds, self.pictures, self.worker, self.cpu_s)


@dataclass(frozen=True)
class Span:
    """Something that takes its time beside the steps, or around steps of an evaluation."""

    kind: SpanKind
    start_us: int
    end_us: int
    label: str = ""


@dataclass(frozen=True)
class Loading:
    """How pictures come to the training. None: not known.

    `kind` is `DataLoader` for torch's, `clary` for Clary's own. `decode_s` is what a picture's
    decoding and transforming takes on one core, `cached` whether it is done once and kept.
    """

    kind: str = ""
    workers: int | None = None
    pin_memory: bool | None = None
    prefetch_factor: int | None = None
    persistent_workers: bool | None = None
    batch_size: int | None = None
    pictures: int | None = None
    decode_s: float | None = None
    cached: bool | None = None


@dataclass(frozen=True)
class Facts:
    """What one process of a training says of itself; written anew when it knows more."""

    worker: str
    pid: int
    node: str
    started_us: int
    """When the watching began."""
    ended_us: int | None = None
    framework: str = ""
    """Such as `torch 2.15.0`."""
    device: str = ""
    """`cpu`, or such as `cuda:0 NVIDIA H200`."""
    cores: int = 0
    """How many this process may use."""
    threads: int = 0
    """Of torch."""
    precision: str = ""
    program: str = ""
    """What is run, as a person would type it."""
    batch_size: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    train_loading: Loading | None = None
    valid_loading: Loading | None = None
    overhead_s: float = 0.0
    """What the recorder itself has cost the training's thread, as it measured."""
    version: int = VERSION

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Facts:
        """From the file; keys of a later program are left out.

        Raises:
            FormatError: something is missing, or of a later version.
        """
        if int(content.get("version", VERSION)) > VERSION:
            raise FormatError(
                f"the timeline is of version {content['version']}, this Clary reads up to "
                f"{VERSION}: update Clary"
            )
        loading = {
            key: known_entry(Loading, content[key]) if content.get(key) else None
            for key in ("train_loading", "valid_loading")
        }
        return known_entry(cls, {**content, **loading})


@dataclass(frozen=True)
class Operator:
    """One kind of operator, summed over the steps that were looked at."""

    name: str
    calls: int
    cpu_self_s: float
    cpu_total_s: float
    device_self_s: float = 0.0
    device_total_s: float = 0.0
    memory_bytes: int = 0
    """What it took of the CPU's memory and did not give back."""
    device_memory_bytes: int = 0


@dataclass(frozen=True)
class Function:
    """One Python function, summed over the steps that were looked at; by samples or by calls."""

    name: str
    file: str
    line: int
    calls: int
    self_s: float
    total_s: float


@dataclass(frozen=True)
class Operators:
    """What torch did in steps `first` to `last` of a mode, most time first."""

    first: int
    last: int
    mode: Mode
    start_us: int
    seconds: float
    operators: tuple[Operator, ...]
    trace: str | None = None
    """The name of the Chrome trace beside it."""
    peak_memory_bytes: int | None = None
    version: int = VERSION


@dataclass(frozen=True)
class Functions:
    """What Python did in steps `first` to `last` of a mode, most time first."""

    first: int
    last: int
    mode: Mode
    start_us: int
    seconds: float
    functions: tuple[Function, ...] = field(default_factory=tuple)
    version: int = VERSION


_Entry = TypeVar("_Entry")


def known_entry(cls: type[_Entry], content: Mapping[str, Any]) -> _Entry:
    """An entry of its fields by name; what a later program has added is left out.

    Raises:
        FormatError: one that it needs is missing.
    """
    names = {one.name for one in fields(cls)}  # type: ignore[arg-type]
    try:
        return cls(**{key: value for key, value in content.items() if key in names})
    except (TypeError, AttributeError) as error:
        raise FormatError(f"an entry of the timeline is damaged: {error}") from error
