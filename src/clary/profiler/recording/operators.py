"""Torch's operators in chosen steps, by torch.profiler.

The thread that trains starts it and stops it. What it has seen is written as a Chrome trace and
added up by another process (`trace_sums.py`): adding up in this one would hold the interpreter's
lock for seconds, and with it the training.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from clary.errors import FormatError
from clary.formats.timeline import Mode, TimelineWriter
from clary.formats.timeline.entries import Operator, Operators
from clary.profiler.recording.look import StepsSeen
from clary.profiler.recording.timeline_thread import Pending, Work

ADDING_UP = Path(__file__).with_name("trace_sums.py")
SECONDS_TO_ADD_UP = 300.0


class OperatorLook:
    """Lets torch.profiler see operators, on the CPU and on CUDA, and what memory they take.

    Someone else's profiler goes before: it is not disturbed, and this one ends when another
    begins.
    """

    _active: OperatorLook | None = None

    def __init__(self) -> None:
        self._profiler: Any = None
        self._device: int | None = None
        self._lost = False

    def start(self) -> str | None:
        """Begin; a sentence where another profiler is active, or torch is not loaded."""
        torch = sys.modules.get("torch")
        if torch is None:
            return "operators are not recorded, because they are torch's and it is not loaded"
        if torch.autograd._profiler_enabled():
            return (
                "operators are not recorded, because another profiler of torch's is active: end "
                "it, or choose other steps"
            )
        # What it says of itself would stand in the log of the training.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_initialized():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
            self._device = torch.cuda.current_device()
        self._profiler = torch.profiler.profile(activities=activities, profile_memory=True)
        self._profiler.start()
        OperatorLook._active = self
        _yield_to_others(torch.autograd.profiler.profile)
        return None

    def stop(self, steps: StepsSeen) -> Work:
        """End; gives the operators to be added up and written."""
        self._let_go()

        def write(writer: TimelineWriter) -> Pending | None:
            if self._lost:
                writer.record_failure("operators are not recorded: another profiler was started")
            elif steps.last >= steps.first:
                return self._add_up(writer, steps)
            return None

        return write

    def _let_go(self) -> None:
        if OperatorLook._active is not self:
            return
        OperatorLook._active = None
        _yield_no_more(sys.modules["torch"].autograd.profiler.profile)
        self._profiler.stop()

    def give_way(self) -> None:
        """Another profiler is about to be started: end, and keep nothing."""
        self._lost = True
        self._let_go()

    def _add_up(self, writer: TimelineWriter, steps: StepsSeen) -> Pending:
        adding = _AddingUp(steps, self._profiler, writer.folder)
        self._profiler = None
        return adding.pending()


class _AddingUp:
    """Another process that adds up a trace, and its folder, which goes when it is done."""

    def __init__(self, steps: StepsSeen, profiler: Any, timeline: Path) -> None:
        self._steps = steps
        self._name = f"trace-{steps.first:08}-{steps.last:08}.json.gz"
        self._until = time.monotonic() + SECONDS_TO_ADD_UP
        self._folder = tempfile.TemporaryDirectory(prefix="clary-profiler-")
        folder = Path(self._folder.name)
        self._said, self._errors = folder / "sums.json", folder / "errors.txt"
        profiler.export_chrome_trace(str(folder / "trace.json"))
        # Apart from the user's environment, and of this very interpreter.
        command = [sys.executable, "-I", "-S", str(ADDING_UP), str(folder / "trace.json")]
        with self._said.open("wb") as said, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*command, str(timeline / self._name)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=errors,
            )

    def pending(self) -> Pending:
        """To be looked at again."""
        return Pending(self.look, self.abandon)

    def look(self, writer: TimelineWriter) -> Pending | None:
        """Write the sums where they are there.

        Raises:
            FormatError: they cannot be had.
            StorageError: they cannot be written.
        """
        if self._process.poll() is None:
            if time.monotonic() < self._until:
                return self.pending()
            self.abandon()
            raise FormatError(f"operators could not be added up in {SECONDS_TO_ADD_UP:g} s")
        if self._process.returncode:
            said = self._errors.read_text(errors="replace").strip().splitlines()[-1:]
            self._folder.cleanup()
            last = said[0] if said else f"exit code {self._process.returncode}"
            raise FormatError(f"operators could not be added up: {last}")
        self._write(writer, json.loads(self._said.read_bytes()))
        self._folder.cleanup()
        return None

    def abandon(self) -> None:
        """End it; nothing is kept."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _write(self, writer: TimelineWriter, sums: dict[str, Any]) -> None:
        steps = self._steps
        writer.write_operators(
            Operators(
                first=steps.first,
                last=steps.last,
                mode=Mode.TRAIN,
                start_us=steps.start_us,
                seconds=steps.seconds,
                operators=tuple(Operator(**one) for one in sums["operators"]),
                trace=self._name,
                peak_memory_bytes=sums["peak_memory_bytes"],
            )
        )


_BEGINNINGS = ("_prepare_trace", "_start_trace")
_originals: dict[str, Any] = {}


def _yield_to_others(profile: Any) -> None:
    """End Clary's profiler before another one begins, which could not begin beside it."""
    for name in _BEGINNINGS:
        original = getattr(profile, name, None)
        if original is not None:
            _originals[name] = original
            setattr(profile, name, _yielding(original))


def _yielding(original: Any) -> Any:
    def begin(self: Any, *args: Any, **kwargs: Any) -> Any:
        look = OperatorLook._active
        if look is not None:
            look.give_way()
        return original(self, *args, **kwargs)

    return begin


def _yield_no_more(profile: Any) -> None:
    while _originals:
        name, original = _originals.popitem()
        setattr(profile, name, original)
