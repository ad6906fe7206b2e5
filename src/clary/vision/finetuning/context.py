"""What surrounds a run, whatever is trained: machine, processes, watchers, caches, stop."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from clary.settings import Settings
from clary.vision.finetuning.processes import Processes
from clary.vision.finetuning.stopping import StopRequest
from clary.vision.hardware import Hardware
from clary.vision.observer import Observers


@dataclass(frozen=True)
class RunContext:
    """Made by `finetune` and passed to every part of the run; used on its thread."""

    hardware: Hardware
    processes: Processes
    observers: Observers
    settings: Settings
    stop: StopRequest
    resources: ExitStack
    """Closed when the run is over."""
