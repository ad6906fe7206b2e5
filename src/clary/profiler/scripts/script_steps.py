"""The steps of a script that knows nothing of being watched, from what it asks of torch.

A step begins with waiting for its data and lasts until the next one's. What lies between the data
and the backward pass is the forward pass. What a step has had, and what comes, say what it is:

| it has had | a batch is fetched | gradients are computed | an optimizer is done |
|---|---|---|---|
| `NOTHING` | it was none, and begins anew | `LEARNED` | `UPDATED` |
| `BATCH` | ends, of an evaluation; goes on (1) | `LEARNED` | `UPDATED` |
| `LEARNED` | goes on as gradients are accumulated (2); else ends | goes on (2) | `UPDATED` |
| `UPDATED` | ends | goes on, as another network learns | goes on; ends without a batch |

1. From a loader that is read together with this one; from the same one, where something would be
   learned and nothing was done with the batch before.
2. Of the same loader, and at most twice as often as before an update so far.

Where neither a batch nor an optimizer was ever seen, steps last from one backward pass to the next.
A batch that one optimizer is called for again and again is one that is trained on for good: steps
end with its calls then. A loader that comes to its end ends a step with a batch, unless an
optimizer follows. Where a step begins without a loader, its forward pass is not measured: nobody
knows when it began. What precedes a backward pass within an optimizer, in a closure, is forward.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from threading import get_ident, main_thread
from time import perf_counter_ns

from clary.formats.timeline import Mode
from clary.profiler.recording.step_recorder import StepRecorder

# Chosen, not measured: to fetch a batch that waits takes less, and the forward pass of a network
# of a size that is worth watching takes more.
AT_ONCE_NS = 1_000_000
# Chosen beyond what trainings of two networks ask of one batch: five updates in Arjovsky's WGAN.
MOST_ROUNDS = 8
# Gradients are accumulated over some hundred batches at most; of longer rows, a step is no measure.
MOST_ACCUMULATED = 256
# Loops read some batches ahead; of those that are further behind, nobody knows the sizes any more.
AHEAD = 64


class Had(Enum):
    """What a step has had; see the table above."""

    NOTHING = auto()
    BATCH = auto()
    LEARNED = auto()
    UPDATED = auto()


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
        # Of the step that goes on.
        self._had = Had.NOTHING
        self._first_loader: int | None = None
        """Of its first batch; None without one."""
        self._backwards = 0
        self._rounds: dict[int, tuple[int, int]] = {}
        """Of each optimizer: its calls after a backward pass, and the passes before the last."""
        self._exhausted_ns: int | None = None
        # Of what goes on within it.
        self._backward_depth = 0
        self._updating: list[int] = []
        self._in_closure = False
        """Whether an optimizer computes what it needs, and has come to no backward pass yet."""
        # Of the script so far.
        self._has_fetched = False
        self._optimizes = False
        """Whether it has ever called an optimizer."""
        self._most = 1
        """Backward passes before an update."""
        self._unanswered: dict[int, int] = {}
        """Backward passes since the last update, of batches of each loader."""
        self._without_updates: set[int] = set()
        """Loaders that more was learned from than an update would wait for."""
        self._last_end_ns = 0
        self._last_fetch_ns = 0
        self._loader = 0
        self._partners: set[tuple[int, int]] = set()
        self._evaluation: tuple[int, int] | None = None
        self._pictures = 0
        self._ahead: deque[int] = deque(maxlen=AHEAD)
        """Pictures of batches that nothing has been learned from."""

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
        return self._had is Had.BATCH

    def is_mine(self) -> bool:
        """Whether the calling thread is the one that trains."""
        return get_ident() == self._thread

    def is_updating(self, optimizer: int) -> bool:
        """Whether a call of an optimizer has begun, and was not seen to end."""
        return optimizer in self._updating

    def fetch_begins(self, loader: int, learns: bool) -> None:
        """A batch of a loader is waited for; `learns` where gradients would be recorded."""
        now = perf_counter_ns()
        recorder = self.recorder
        self._backward_depth = 0
        self._updating.clear()
        if not recorder.step_is_open:
            self._begin(now)
        elif self._exhausted_ns is not None:
            self._end_exhausted(self._exhausted_ns)
            self._begin(now)
        elif self._had is Had.NOTHING:
            recorder.cancel_step()
            self._begin(now)
        elif not self._goes_on(loader, now, learns=learns):
            self._end(now)
            self._begin(now)
        else:
            self._end_phases(now)
        self._loader = loader
        self._has_fetched = True
        recorder.phase_started("data", at_ns=now)

    def fetch_ends(self, pictures: int) -> None:
        """The batch is there."""
        now = perf_counter_ns()
        self.recorder.phase_ended(at_ns=now)
        # Of loaders that are read together the first one counts.
        if self._first_loader in (None, self._loader):
            self._first_loader = self._loader
            self._ahead.append(pictures)
        self._pictures = pictures
        if self._had is Had.NOTHING:
            self._had = Had.BATCH
        self._last_fetch_ns = now
        self.recorder.phase_started("forward", at_ns=now)

    def fetch_fails(self) -> None:
        """There is no further batch, or the loader has failed."""
        now = self._last_end_ns = perf_counter_ns()
        recorder = self.recorder
        recorder.phase_ended(at_ns=now)
        if self._had is not Had.NOTHING:
            # Perhaps the optimizer is still to come for the batches before.
            self._exhausted_ns = now
            return
        recorder.cancel_step()
        self._close_evaluation()
        if self._ahead:
            # A loop that is a batch ahead of itself still has one to train on.
            self._begin(now)
            recorder.phase_started("forward", at_ns=now)

    def transfer_begins(self) -> None:
        """A tensor is brought to a device."""
        self.recorder.phase_started("transfer")

    def transfer_ends(self) -> None:
        """The tensor is on its way."""
        now = perf_counter_ns()
        self.recorder.phase_ended(at_ns=now)
        # Loops that are a batch ahead bring one to the device before they fetch the next.
        self._last_fetch_ns = now

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
        if self._updating:
            self._end_closure(now)
        elif recorder.in_phase:
            self._end_phases(now)
        elif self._had is Had.LEARNED and self._backwards >= self._most_backwards():
            self._end(now)
            self._begin(now)
        elif self._had in (Had.LEARNED, Had.UPDATED) and self._first_loader is not None:
            # Of another loss of this step: what came before it was its forward pass.
            recorder.add_to_phase("forward", now - self._last_end_ns)
        self._count_pictures()
        self._backwards += 1
        self._unanswered[self._loader] = self._unanswered.get(self._loader, 0) + 1
        if self._had is not Had.UPDATED:
            self._had = Had.LEARNED
        recorder.phase_started("backward", at_ns=now)

    def backward_ends(self) -> None:
        """Gradients are there."""
        self._backward_depth -= 1
        if not self._backward_depth:
            self._last_end_ns = perf_counter_ns()
            self.recorder.phase_ended(at_ns=self._last_end_ns)

    def update_begins(self, optimizer: int, *, closure: bool = False, nested: bool = False) -> None:
        """An optimizer is called, or what calls one.

        Args:
            optimizer: tells them apart.
            closure: whether it is given what computes its gradients.
            nested: whether within another call; if not, an earlier one of this optimizer failed.
        """
        if not nested and optimizer in self._updating:
            del self._updating[self._updating.index(optimizer) :]
        self._updating.append(optimizer)
        if len(self._updating) > 1:
            return
        now = self._last_end_ns = perf_counter_ns()
        recorder = self.recorder
        if not recorder.step_is_open:
            self._begin(now)
        self._exhausted_ns = None
        self._end_phases(now)
        recorder.phase_started("optimizer", at_ns=now)
        self._in_closure = closure
        if closure:
            recorder.phase_started("forward", at_ns=now)

    def update_ends(self, optimizer: int) -> None:
        """The optimizer is done; one that nobody saw begin counts once."""
        if optimizer in self._updating:
            while self._updating.pop() != optimizer:
                pass
            if self._updating:
                return
        elif self._had is not Had.LEARNED:
            return
        now = self._last_end_ns = perf_counter_ns()
        self._end_phases(now)
        if not self._backwards:
            self._count_pictures()
        self._had = Had.UPDATED
        self._optimizes = True
        passes = self._unanswered.get(self._loader, 0)
        self._most = max(self._most, min(passes, MOST_ACCUMULATED))
        self._unanswered.clear()
        self._without_updates.discard(self._loader)
        if self._first_loader is None or self._rounds_of(optimizer) > MOST_ROUNDS:
            self._end(now)
            self._begin(now)

    def take_over(self) -> None:
        """The calling thread is the one that trains, and what went on elsewhere was no step."""
        self._thread = get_ident()
        if self._recorder is not None:
            self._recorder.cancel_step()
        self._backward_depth = 0
        self._updating.clear()
        self._ahead.clear()

    def close(self) -> None:
        """The script is over."""
        if self._recorder is None:
            return
        if self._recorder.step_is_open:
            if self._exhausted_ns is not None:
                self._end_exhausted(self._exhausted_ns)
            elif self._had is not Had.NOTHING:
                self._end(perf_counter_ns())
            else:
                self._recorder.cancel_step()
        self._close_evaluation()
        self._recorder.close()

    @property
    def _has_learned(self) -> bool:
        return self._had in (Had.LEARNED, Had.UPDATED)

    def _goes_on(self, loader: int, now: int, *, learns: bool) -> bool:
        """Whether a batch that is fetched now belongs to the step that goes on."""
        if self._had is Had.UPDATED:
            return False
        if self._had is Had.LEARNED:
            return self._optimizes and (self._first_loader is None or self._accumulates(loader))
        together = now - self._last_fetch_ns < AT_ONCE_NS
        if loader != self._loader:
            pair = (self._loader, loader)
            if together:
                self._partners.add(pair)
            return pair in self._partners
        # Several batches for one update, one fetched ahead, and some that are left out, as a
        # training goes on where it was; in an evaluation something is done with each of them.
        return learns and together

    def _accumulates(self, loader: int) -> bool:
        pairs = {(loader, self._loader), (self._loader, loader)}
        if loader != self._loader and not self._partners & pairs:
            return False
        if self._backwards >= 2 * self._most:
            self._without_updates.add(loader)
        return loader not in self._without_updates

    def _most_backwards(self) -> int:
        """How many backward passes, of one batch or of none, are one step."""
        if not self._has_fetched and not self._optimizes:
            return 1
        return max(MOST_ROUNDS, 2 * self._most)

    def _rounds_of(self, optimizer: int) -> int:
        rounds, passes = self._rounds.get(optimizer, (0, 0))
        if self._backwards > passes:
            rounds += 1
            self._rounds[optimizer] = rounds, self._backwards
        return rounds

    def _count_pictures(self) -> None:
        """Something is learned from the oldest batch, or once more from the last one."""
        if self._ahead:
            self.recorder.add_pictures(self._ahead.popleft())
        elif self._first_loader is None and not self._has_learned:
            self.recorder.add_pictures(self._pictures)

    def _end_closure(self, now: int) -> None:
        """What an optimizer has called until the backward pass was the forward pass."""
        recorder = self.recorder
        if self._in_closure:
            self._in_closure = False
            recorder.phase_ended(at_ns=now)
        else:
            recorder.add_to_phase("forward", now - self._last_end_ns)
            recorder.add_to_phase("optimizer", self._last_end_ns - now)

    def _end_phases(self, now: int) -> None:
        while self.recorder.in_phase:
            self.recorder.phase_ended(at_ns=now)

    def _begin(self, now: int) -> None:
        self._had = Had.NOTHING
        self._first_loader = None
        self._backwards = 0
        self._rounds.clear()
        self._exhausted_ns = None
        self.recorder.begin_step(at_ns=now)

    def _end_exhausted(self, at_ns: int) -> None:
        if self._has_learned:
            self._end(at_ns)
        else:
            self.recorder.cancel_step()

    def _end(self, now: int) -> None:
        recorder = self.recorder
        mode = Mode.TRAIN if self._has_learned else Mode.EVAL
        began = recorder.step_started_ns
        if mode == Mode.TRAIN:
            self._close_evaluation()
        else:
            recorder.add_pictures(sum(self._ahead))
            self._ahead.clear()
            self._evaluation = (self._evaluation[0] if self._evaluation else began or now, now)
        if self._first_loader is not None and (mode, self._loader) not in self._described:
            self._described.add((mode, self._loader))
            self._describe(mode, self._loader)
        recorder.end_step(mode, at_ns=now)

    def _close_evaluation(self) -> None:
        if self._evaluation is not None:
            self.recorder.add_span("evaluation", *self._evaluation)
            self._evaluation = None
