"""Looks into chosen steps: torch's operators, Python's functions; begun and ended between steps."""

from __future__ import annotations

import time
from collections.abc import Callable

from clary.formats.profiler_configuration import ProfilerConfiguration, StepWindow
from clary.formats.timeline import Mode, Span
from clary.profiler.recording.clock import Clock
from clary.profiler.recording.functions import CallCounter, StackSampler
from clary.profiler.recording.look import Look, StepsSeen
from clary.profiler.recording.operators import OperatorLook
from clary.profiler.recording.timeline_thread import TimelineThread

# What is recorded of a step's inside is kept in memory until the last of them is over.
MOST_STEPS = 100
MOST_SECONDS = 120.0
# Looks that are begun in vain, as what begins turns out to be an evaluation's.
MOST_TRIALS = 3

LOOKS: dict[str, Callable[[], Look]] = {
    "operators": OperatorLook,
    "functions": CallCounter,
    "functions, by samples,": StackSampler,
}


class ChosenSteps:
    """Begins and ends looks where a configuration asks for them.

    The thread that trains uses it. Steps of an evaluation are not looked into: they end a look.
    What a step is, is often known when it is over. To begin and to end a look takes its time, so
    that it begins with a step that follows one of the training.
    """

    def __init__(
        self, thread: TimelineThread, clock: Clock, configuration: ProfilerConfiguration
    ) -> None:
        self._thread = thread
        self._clock = clock
        self._windows: list[_Window] = []
        self.waiting = False
        """Whether a look may begin with a step that comes."""
        self.running = False
        """Whether one goes on."""
        self.last_mode = Mode.TRAIN
        """Of the step that has ended last."""
        self._modes_are_told = False
        self.choose(configuration)

    def choose(self, configuration: ProfilerConfiguration) -> None:
        """Look into other steps from now on."""
        asked: list[_Window] = []
        if configuration.operators is not None:
            asked.append(_Window("operators", configuration.operators))
        if configuration.functions is not None:
            by_samples = configuration.functions_by == "sampling"
            kind = "functions, by samples," if by_samples else "functions"
            asked.append(_Window(kind, configuration.functions))
        kept = [one for one in self._windows if one.look is not None or one.done]
        known = {(one.kind, one.chosen) for one in kept}
        self._windows = [*kept, *(one for one in asked if (one.kind, one.chosen) not in known)]
        self._note_state()

    def step_begins(self, mode: Mode, number: int) -> bool:
        """A step is about to begin, of the training where that is not known yet.

        Returns:
            Whether a look has begun, which takes its time.
        """
        if mode != Mode.TRAIN:
            # Who says so of an evaluation, says so of the training.
            self._modes_are_told = True
            return False
        if self.last_mode != Mode.TRAIN and not self._modes_are_told:
            return False
        now_s = time.time()
        began = False
        for window in self._windows:
            waits = window.look is None and not window.done
            if waits and window.chosen.has_begun(number, now_s):
                window.done = window.chosen.is_over(number, now_s, first=number, started_s=now_s)
                if not window.done:
                    self._begin(window, number, now_s)
                    began = True
                elif window.trials:
                    self._tell_missed(window)
        self._note_state()
        return began

    def step_ended(self, mode: Mode, number: int) -> bool:
        """A step is over; `number` is its own within its mode.

        Returns:
            Whether a look has ended, which takes its time.
        """
        now_s = time.time()
        ended = False
        for window in self._windows:
            if window.look is None:
                continue
            if mode == Mode.TRAIN:
                window.last = number
            seconds, steps = now_s - window.started_s, window.last - window.first + 1
            over = mode != Mode.TRAIN or window.chosen.is_over(
                window.last + 1, now_s, first=window.first, started_s=window.started_s
            )
            many = steps >= MOST_STEPS or seconds >= MOST_SECONDS
            if over or many:
                self._end(window, window.look)
                ended = True
            if many and not over:
                self._thread.fail(
                    f"{window.kind} are recorded of steps {window.first} to {window.last} only: "
                    f"{MOST_STEPS} steps or {MOST_SECONDS:g} s at once are the most"
                )
        self._note_state()
        return ended

    def close(self) -> None:
        """End what goes on."""
        for window in self._windows:
            if window.look is not None:
                self._end(window, window.look)
        self._note_state()

    def _begin(self, window: _Window, number: int, now_s: float) -> None:
        began_ns = time.perf_counter_ns()
        look = LOOKS[window.kind]()
        refused = look.start()
        if refused is not None:
            window.done = True
            self._thread.fail(refused)
            return
        window.look = look
        window.first, window.last, window.started_s = number, number - 1, now_s
        window.started_ns = time.perf_counter_ns()
        self._note_cost(f"looking at {window.kind} begins", began_ns)

    def _end(self, window: _Window, look: Look) -> None:
        ended_ns = time.perf_counter_ns()
        window.look = None
        # One that has seen steps of an evaluation alone is tried again.
        seen = window.last >= window.first
        window.trials += 1
        window.done = seen or window.trials >= MOST_TRIALS
        work = look.stop(
            StepsSeen(
                window.first,
                window.last,
                self._clock.since_1970_us(window.started_ns),
                (ended_ns - window.started_ns) / 1e9,
            )
        )
        if seen:
            self._thread.do(work)
        elif window.done:
            self._tell_missed(window)
        self._note_cost(f"looking at {window.kind} ends", ended_ns)

    def _tell_missed(self, window: _Window) -> None:
        self._thread.fail(
            f"{window.kind} are not recorded, because evaluations lie between the chosen steps: "
            "choose others"
        )

    def _note_cost(self, what: str, began_ns: int) -> None:
        start, end = map(self._clock.since_1970_us, (began_ns, time.perf_counter_ns()))
        self._thread.span(Span("operators", start, end, what))

    def _note_state(self) -> None:
        self.running = any(one.look is not None for one in self._windows)
        self.waiting = any(one.look is None and not one.done for one in self._windows)


class _Window:
    """Chosen steps and, while it goes on, the look into them."""

    def __init__(self, kind: str, chosen: StepWindow) -> None:
        self.kind = kind
        self.chosen = chosen
        self.look: Look | None = None
        self.done = False
        self.trials = 0
        self.first = 0
        self.last = -1
        self.started_s = 0.0
        self.started_ns = 0
