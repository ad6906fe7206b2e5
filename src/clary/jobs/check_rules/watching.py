"""From the request to the last look."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from clary.errors import ClaryError
from clary.formats.rule_request import RuleRequest, ended_marker
from clary.jobs.check_rules.check import Check
from clary.jobs.check_rules.judges import Tensors, Watched
from clary.jobs.check_rules.profiles import Profiles
from clary.rules.runner import Now

# How often the log is read, unless reading and judging would take more than this part of the time
# of one core; and how often it is asked whether to end. A profile has something new all the time.
POLL_SECONDS = 0.5
PROFILE_POLL_SECONDS = 2.0
_SHARE = 0.05
_ASK_SECONDS = 0.1
# Rules look without anything new this often: one of them judges silence.
_SILENCE_SECONDS = 5.0
# Who waits for a tenth of a second and is back after so long has slept, with the whole machine.
_ASLEEP_SECONDS = 10.0
# What cannot be read at the end of a training is tried again so often.
_LAST_TRIES = 3


class Watch:
    """Checks all rules of a request; `run` on one thread, `stop` from anywhere, a signal too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._trouble = ""
        self._awake = Awake()

    def stop(self) -> None:
        """End soon; what has no verdict yet becomes Stopped."""
        self._stop.set()

    def run(self) -> None:
        """Judge until the training has ended and every rule has its verdict, or until `stop`.

        Raises:
            FormatError: the request is missing or damaged.
            StorageError: the results cannot be written.
        """
        request = RuleRequest.read(self._folder)
        checks = [Check(self._folder, one, request) for one in request.rules]
        watched: Watched
        if request.kind == "profiler":
            watched, poll = Profiles(request, self._folder), PROFILE_POLL_SECONDS
        else:
            watched, poll = Tensors(request.tensors), POLL_SECONDS
        looked = 0.0
        while not self._stop.is_set() and not all(check.is_final for check in checks):
            # Asked before the log is read, so that nothing was written after what is read.
            ended = ended_marker(self._folder).exists()
            used = time.process_time()
            news = self._refresh(watched, checks)
            silent = time.monotonic() - looked >= _SILENCE_SECONDS
            for check in checks:
                if check.is_asked_to_stop:
                    check.stop(watched, ended=ended)
            if ended:
                self._take_the_last(watched, checks)
            if news or ended or silent:
                looked = time.monotonic()
                self._look(watched, checks, ended=ended)
            if ended and not self._stop.is_set():
                return
            self._wait(checks, max(poll, (time.process_time() - used) / _SHARE))
        if self._stop.is_set():
            self._stop_all(watched, checks)

    def _stop_all(self, watched: Watched, checks: list[Check]) -> None:
        ended = ended_marker(self._folder).exists()
        # Time is up for the others; these were asked to end, and leave what they have.
        asked = [check for check in checks if check.is_asked_to_stop and not check.is_final]
        if asked:
            self._refresh(watched, asked)
        for check in checks:
            check.stop(watched if check in asked else None, ended=ended)

    def _look(self, watched: Watched, checks: list[Check], *, ended: bool) -> None:
        for check in checks:
            now = Now(
                time.time(),
                ended=ended,
                is_over=self._stop.is_set,
                awake_since=self._awake.since,
            )
            check.look(watched, now)
            if ended and not self._stop.is_set():
                check.conclude(watched, now, trouble=self._trouble)

    def _take_the_last(self, watched: Watched, checks: list[Check]) -> None:
        """Read until nothing is new: what a killed writer has left may be sealed at this moment."""
        tries = 0
        while not self._stop.is_set():
            news = self._refresh(watched, checks)
            tries += bool(self._trouble)
            if tries >= _LAST_TRIES or not (news or self._trouble):
                return
            if self._trouble:
                self._stop.wait(POLL_SECONDS)

    def _refresh(self, watched: Watched, checks: list[Check]) -> bool:
        try:
            news = watched.refresh()
        except (ClaryError, OSError) as error:
            self._trouble = f"the {watched.noun} cannot be read: {error}"
            for check in checks:
                if not check.is_final:
                    check.report_failures([self._trouble])
            # Of other hosts there may be something new.
            return True
        self._trouble = ""
        return news

    def _wait(self, checks: list[Check], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._awake.wait(self._stop, _ASK_SECONDS):
            if ended_marker(self._folder).exists():
                return
            if any(check.is_asked_to_stop and not check.is_final for check in checks):
                return


class Awake:
    """Since when this process is awake: the machine may sleep, or somebody stop the process."""

    def __init__(self, asleep_seconds: float = _ASLEEP_SECONDS) -> None:
        """Awake from the beginning.

        Args:
            asleep_seconds: who is back from waiting so much later than he wanted has slept.
        """
        self.since = 0.0
        self._asleep_seconds = asleep_seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, for so long at most; whether it is there."""
        began = time.time()
        happened = event.wait(seconds)
        now = time.time()
        if now - began - seconds > self._asleep_seconds:
            self.since = now
        return happened
