"""The steps of a script that knows nothing of being watched, from what it asks of torch.

A step begins with waiting for its data and lasts until the next one's. What lies between the data
and the backward pass is the forward pass. A step without a backward pass is one of an evaluation;
batches that are fetched before the optimizer has been called for the earlier ones belong to one
step, as gradients are accumulated. A loop that fetches from no loader has steps from one call of
its optimizer to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident, main_thread
from time import perf_counter_ns

from clary.formats.timeline import Mode
from clary.profiler.recording.step_recorder import StepRecorder

# Fetched so shortly after another batch that nothing was done with that one.
AT_ONCE_NS = 1_000_000


class ScriptSteps:
    """Tells a recorder of steps, phases and evaluations. The thread that trains uses it.

    That is the main thread, until another one begins a backward pass.

    Args:
        make_recorder: makes the recorder, at the first step.
        describe: told once for what a loader is used.
    """

    def __init__(
        self,
        make_recorder: Callable[[], StepRecorder],
        describe: Callable[[Mode, int], None],
    ) -> None:
        self._make_recorder = make_recorder
        self._describe = describe
        self._described: set[tuple[Mode, int]] = set()
        self._recorder: StepRecorder | None = None
        self._thread = main_thread().ident
        self._learned = False
        """Whether the step has had a backward pass."""
        self._updated = False
        """Whether it has had a call of an optimizer."""
        self._fetched = False
        """Whether it has had a batch; without, it is one only if something is learned in it."""
        self._optimizes = False
        """Whether the script has ever called an optimizer."""
        self._backward_depth = 0
        self._updating: list[int] = []
        self._last_end_ns = 0
        self._last_fetch_ns = 0
        self._exhausted_ns: int | None = None
        self._loader = 0
        self._first_of_loader = False
        self._partners: set[tuple[int, int]] = set()
        self._evaluation: tuple[int, int] | None = None
        self._pictures = 0

    @property
    def recorder(self) -> StepRecorder:
        """What it tells; made when it is asked for first."""
        if self._recorder is None:
            self._recorder = self._make_recorder()
        return self._recorder

    @property
    def started(self) -> bool:
        """Whether there has been anything to record."""
        return self._recorder is not None

    @property
    def in_backward(self) -> bool:
        """Whether gradients are being computed."""
        return self._backward_depth > 0

    @property
    def awaits_transfer(self) -> bool:
        """Whether a batch is there that nothing has been learned from."""
        return self._fetched and not self._learned

    def is_mine(self) -> bool:
        """Whether the calling thread is the one that trains."""
        return get_ident() == self._thread

    def fetch_begins(self, loader: int, *, first: bool, learns: bool) -> None:
        """A batch is waited for.

        Args:
            loader: tells loaders apart.
            first: whether it is the loader's first in this epoch.
            learns: whether gradients would be recorded.
        """
        now = perf_counter_ns()
        recorder = self.recorder
        self._backward_depth = 0
        self._updating.clear()
        if not recorder.step_is_open:
            self._begin(now)
        elif self._exhausted_ns is not None:
            self._end_exhausted(self._exhausted_ns)
            self._begin(now)
        elif not self._fetched and not self._learned:
            recorder.cancel_step()
            self._begin(now)
        elif not self._goes_on(loader, now, learns=learns):
            self._end(now)
            self._begin(now)
        elif recorder.in_phase:
            recorder.phase_ended(at_ns=now)
        self._loader = loader
        self._first_of_loader = first
        recorder.phase_started("data", at_ns=now)

    def fetch_ends(self, pictures: int) -> None:
        """The batch is there."""
        now = perf_counter_ns()
        recorder = self.recorder
        recorder.phase_ended(at_ns=now)
        # Of batches that are fetched together the first one counts.
        if not self._fetched or self._learned:
            recorder.add_pictures(pictures)
        self._pictures = pictures
        self._fetched = True
        self._last_fetch_ns = now
        recorder.phase_started("forward", at_ns=now)

    def fetch_fails(self) -> None:
        """There is no further batch, or the loader has failed."""
        now = self._last_end_ns = perf_counter_ns()
        recorder = self.recorder
        recorder.phase_ended(at_ns=now)
        if self._fetched or self._learned:
            # Perhaps the optimizer is still to come for the batches before.
            self._exhausted_ns = now
        else:
            # Loops that are a batch ahead of themselves still have one to train on.
            recorder.cancel_step()
            self._close_evaluation()
            self._begin(now)
            recorder.phase_started("forward", at_ns=now)

    def transfer_begins(self) -> None:
        """A tensor is brought to a device."""
        self.recorder.phase_started("transfer")

    def transfer_ends(self) -> None:
        """The tensor is on its way."""
        self.recorder.phase_ended()

    def backward_begins(self) -> None:
        """Gradients are computed."""
        self._backward_depth += 1
        if self._backward_depth > 1:
            return
        now = perf_counter_ns()
        recorder = self.recorder
        if not recorder.step_is_open:
            self._begin(now)
        self._exhausted_ns = None
        if recorder.in_phase and not self._updating:
            recorder.phase_ended(at_ns=now)
        elif self._learned and not self._updating:
            # Of another loss of this step: what came before it was its forward pass.
            recorder.add_to_phase("forward", now - self._last_end_ns)
        if not self._fetched and not self._learned:
            recorder.add_pictures(self._pictures)
        self._learned = True
        recorder.phase_started("backward", at_ns=now)

    def backward_ends(self) -> None:
        """Gradients are there."""
        self._backward_depth -= 1
        if not self._backward_depth:
            self._last_end_ns = perf_counter_ns()
            self.recorder.phase_ended(at_ns=self._last_end_ns)

    def update_begins(self, optimizer: int) -> None:
        """An optimizer is called, or what calls one.

        Args:
            optimizer: tells them apart; one that is called anew has not come to its end before.
        """
        if optimizer in self._updating:
            del self._updating[self._updating.index(optimizer) :]
        self._updating.append(optimizer)
        if len(self._updating) > 1:
            return
        now = perf_counter_ns()
        recorder = self.recorder
        if not recorder.step_is_open:
            self._begin(now)
        self._exhausted_ns = None
        if recorder.in_phase:
            recorder.phase_ended(at_ns=now)
        recorder.phase_started("optimizer", at_ns=now)

    def update_ends(self) -> None:
        """The optimizer is done."""
        if self._updating:
            self._updating.pop()
        if self._updating:
            return
        now = self._last_end_ns = perf_counter_ns()
        recorder = self.recorder
        recorder.phase_ended(at_ns=now)
        self._learned = self._updated = self._optimizes = True
        if not self._fetched:
            self._end(now)
            self._begin(now)
            recorder.phase_started("forward", at_ns=now)

    def take_over(self) -> None:
        """The calling thread is the one that trains, and what went on elsewhere was no step."""
        self._thread = get_ident()
        if self._recorder is not None:
            self._recorder.cancel_step()
        self._backward_depth = 0
        self._updating.clear()

    def close(self) -> None:
        """The script is over."""
        if self._recorder is None:
            return
        if self._recorder.step_is_open:
            if self._exhausted_ns is not None:
                self._end_exhausted(self._exhausted_ns)
            elif self._fetched or self._learned:
                self._end(perf_counter_ns())
            else:
                self._recorder.cancel_step()
        self._close_evaluation()
        self._recorder.close()

    def _goes_on(self, loader: int, now: int, *, learns: bool) -> bool:
        """Whether a batch that is fetched now belongs to the step that goes on."""
        if self._learned:
            return self._optimizes and not self._updated
        if loader != self._loader:
            pair = (self._loader, loader)
            together = now - self._last_fetch_ns < AT_ONCE_NS
            if together:
                self._partners.add(pair)
            return pair in self._partners
        # A loop that is a batch ahead of itself fetches two before it trains on the first one.
        return learns and self._first_of_loader and now - self._last_fetch_ns < AT_ONCE_NS

    def _begin(self, now: int) -> None:
        self._learned = self._updated = self._fetched = False
        self._exhausted_ns = None
        self.recorder.begin_step(at_ns=now)

    def _end_exhausted(self, at_ns: int) -> None:
        if self._learned:
            self._end(at_ns)
        else:
            self.recorder.cancel_step()

    def _end(self, now: int) -> None:
        recorder = self.recorder
        mode = Mode.TRAIN if self._learned else Mode.EVAL
        began = recorder.step_started_ns
        if mode == Mode.TRAIN:
            self._close_evaluation()
        elif began is not None:
            self._evaluation = (self._evaluation[0] if self._evaluation else began, now)
        if self._fetched and (mode, self._loader) not in self._described:
            self._described.add((mode, self._loader))
            self._describe(mode, self._loader)
        recorder.end_step(mode, at_ns=now)

    def _close_evaluation(self) -> None:
        if self._evaluation is not None:
            self.recorder.add_span("evaluation", *self._evaluation)
            self._evaluation = None
