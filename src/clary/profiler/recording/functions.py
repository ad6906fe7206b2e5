"""Python's functions in chosen steps: by each call, or by samples of the stack."""

from __future__ import annotations

import _lsprof
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from clary.formats.timeline import Mode, TimelineWriter
from clary.formats.timeline.entries import Function, Functions
from clary.profiler.recording.look import StepsSeen
from clary.profiler.recording.timeline_thread import Work

KEPT = 300
SECONDS_BETWEEN_SAMPLES = 0.005
# What the watching itself calls is left out.
OWN = str(Path(__file__).parents[1])

_Place = tuple[str, str, int]
"""Name, file and line of a function."""


class CallCounter:
    """Counts and times each call of the thread that trains, as cProfile does.

    Someone else's profiler goes before: it is not disturbed, and this one lets go when another
    takes its place. `cProfile` itself is not imported: it imports `profile`, which may be a
    script's own.
    """

    _active: CallCounter | None = None

    def __init__(self) -> None:
        self._profile: Any = _lsprof.Profiler()
        self._lost = False

    def start(self) -> str | None:
        """Begin; a sentence where another profiler is active."""
        refused = (
            "functions are not recorded, because another profiler of Python's functions is "
            "active: end it, or take ProfilerName pyinstrument, which samples"
        )
        if sys.getprofile() is not None:
            return refused
        try:
            self._profile.enable()
        except ValueError:
            return refused
        CallCounter._active = self
        others = sys.modules.get("cProfile")
        if others is not None:
            others.Profile.enable = _yielding
        return None

    def stop(self, steps: StepsSeen) -> Work:
        """End; gives the functions to be written."""
        self._let_go()
        rows = [] if self._lost else list(self._profile.getstats())

        def write(writer: TimelineWriter) -> None:
            if self._lost:
                writer.record_failure("functions are not recorded: another profiler was started")
            else:
                writer.write_functions(_functions(steps, [_function(row) for row in rows]))

        return write

    def give_way(self) -> None:
        """Another profiler is about to be started: end, and keep nothing."""
        self._lost = True
        self._let_go()

    def _let_go(self) -> None:
        if CallCounter._active is not self:
            return
        CallCounter._active = None
        others = sys.modules.get("cProfile")
        if others is not None and vars(others.Profile).get("enable") is _yielding:
            del others.Profile.enable
        active: Any = sys.getprofile()
        # Whoever has put another function there without cProfile keeps it.
        if active is None or active is self._profile:
            self._profile.disable()
        else:
            self._lost = True


def _yielding(profile: Any, *args: Any, **kwargs: Any) -> None:
    """What `cProfile.Profile.enable` is while Clary's is on: it ends that one first."""
    if CallCounter._active is not None:
        CallCounter._active.give_way()
    profile.enable(*args, **kwargs)


class StackSampler:
    """Looks at the stack of the thread that trains every few milliseconds."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._own: Counter[_Place] = Counter()
        self._total: Counter[_Place] = Counter()
        self._watched = threading.get_ident()
        self._samples = 0
        self._thread = threading.Thread(
            target=self._run, name="clary-profiler-samples", daemon=True
        )

    def start(self) -> str | None:
        """Begin; nobody is in its way."""
        self._thread.start()
        return None

    def stop(self, steps: StepsSeen) -> Work:
        """End; gives the functions to be written."""
        self._ending.set()

        def write(writer: TimelineWriter) -> None:
            self._thread.join()
            each = steps.seconds / self._samples if self._samples else 0.0
            found = [
                Function(*place, count, self._own[place] * each, count * each)
                for place, count in self._total.items()
            ]
            writer.write_functions(_functions(steps, found))

        return write

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due = max(due + SECONDS_BETWEEN_SAMPLES, time.monotonic())
            frame = sys._current_frames().get(self._watched)
            if frame is not None:
                self._samples += 1
                self._take(frame)

    def _take(self, frame: FrameType) -> None:
        self._own[_place(frame.f_code)] += 1
        seen: set[_Place] = set()
        below: FrameType | None = frame
        while below is not None:
            seen.add(_place(below.f_code))
            below = below.f_back
        self._total.update(seen)


def _functions(steps: StepsSeen, found: list[Function]) -> Functions:
    found = [one for one in found if not one.file.startswith(OWN)]
    found.sort(key=lambda one: one.self_s, reverse=True)
    return Functions(
        steps.first, steps.last, Mode.TRAIN, steps.start_us, steps.seconds, tuple(found[:KEPT])
    )


def _function(row: Any) -> Function:
    place = (str(row.code), "", 0) if isinstance(row.code, str) else _place(row.code)
    return Function(*place, row.callcount, row.inlinetime, row.totaltime)


def _place(code: CodeType) -> _Place:
    name = getattr(code, "co_qualname", code.co_name)
    return name, code.co_filename, code.co_firstlineno
