"""Heads that take their steps together: the same features, batches and layers.

A group trains one head as well as many. Its members ask for the steps of an epoch one after the
other: the first one to ask makes the group take the step, for all heads in one batched product,
and the others find what it gave. So every member is trained, judged and kept as if it were alone.

A member can stand still, and be saved, only where the group is (`is_at`). Members that end leave
the group, which goes on without them; a loss that is not finite stays that head's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch

from clary.errors import UsageError
from clary.vision.features import Features, HeadBank, HeadOptions, HeadResults
from clary.vision.finetuning.plan import Plan
from clary.vision.hardware import Hardware
from clary.vision.models import Classifier
from clary.vision.observer import Observers
from clary.vision.optimizers import learning_rate_factor
from clary.vision.sampling import epoch_order
from clary.vision.transforms import view_of_epoch

ROWS_AT_ONCE = 4096


class BatchResult(NamedTuple):
    """What one batch gave one head: mean loss and hits, on the device, of so many pictures.

    Where it was judged, `labels` and `predictions` (N) are class numbers.
    """

    loss: torch.Tensor
    hits: torch.Tensor
    pictures: int
    labels: torch.Tensor | None = None
    predictions: torch.Tensor | None = None


class Member:
    """One head of a group: what is told apart. Compared by identity.

    `shared_seconds` is how long the steps and judgements took that others had asked for first.
    """

    def __init__(self, classifier: Classifier, plan: Plan) -> None:
        self.classifier = classifier
        self.plan = plan
        self.shared_seconds = 0.0

    def learning_rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """Of a step, counted from 0 in its epoch, which counts from 1."""
        options = self.plan.options
        done = (epoch - 1) * steps_per_epoch + step
        factor = learning_rate_factor(options, done, steps_per_epoch, options.epochs)
        return self.plan.learning_rate * factor


class HeadGroup:
    """Owned by one thread. Members join before the first step and leave when they end.

    Args:
        train: features of all views of the training pictures.
        valid: features of the validation pictures.
        plan: of any member; all have the seed, the views, the batches and the balance of the
            pictures in common.
        hardware: where the heads are trained.
        between_steps: called before each step; members may leave in it.
    """

    def __init__(
        self,
        train: Features,
        valid: Features,
        plan: Plan,
        hardware: Hardware,
        *,
        between_steps: Callable[[], None] | None = None,
    ) -> None:
        self.train = train
        self.valid = valid
        self.rows_per_step = plan.options.batch_size * plan.options.accumulate
        self.steps_per_epoch = -(-len(train) // self.rows_per_step)
        self._plan = plan
        self._hardware = hardware
        self._between_steps = between_steps
        self._members: list[Member] = []
        self._bank: HeadBank | None = None
        self._epoch, self._step = 1, 0
        self._results: list[dict[Member, BatchResult]] = []
        self._judged: list[dict[Member, BatchResult]] = []
        self._seconds: list[float] = []
        self._seconds_to_judge = 0.0
        self._order = np.empty(0, dtype=np.int64)

    def join(self, member: Member) -> None:
        """Let a head be trained with the others.

        Raises:
            UsageError: the group has begun.
        """
        if self._bank is not None:
            raise UsageError("a head cannot join a group that has begun: begin another group")
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """Go on without a head."""
        place = self._members.index(member)
        self._members.remove(member)
        if self._bank is not None and self._members:
            self._bank.keep([head for head in range(len(self._bank)) if head != place])

    @property
    def bank(self) -> HeadBank:
        """The heads, in the order of the members; made when it is first asked for."""
        if self._bank is None:
            self._bank = HeadBank(
                [member.classifier.head for member in self._members],
                [_head_options(member.plan, member.classifier) for member in self._members],
                self._hardware.device,
            )
        return self._bank

    def is_at(self, epoch: int, step: int) -> bool:
        """Whether the heads have taken the steps before this one, and no others."""
        if not len(self._order):  # one that begins goes to where its first member is
            return True
        at = (self._epoch, self._step)
        return at == (epoch, step) or (at == (epoch - 1, self.steps_per_epoch) and step == 0)

    def train_step(
        self, member: Member, epoch: int, step: int, observers: Observers
    ) -> BatchResult:
        """What a step of training gave a member's head; the step is taken if it was not yet."""
        if epoch != self._epoch or not len(self._order):
            self._begin_epoch(epoch, step)
        if step == self._step:
            if self._between_steps is not None:
                self._between_steps()
            began = time.monotonic()
            self._take_step(observers)
            self._seconds.append(time.monotonic() - began)
        else:
            member.shared_seconds += self._seconds[step]
        return self._results[step][member]

    def judge(self, member: Member) -> Iterable[BatchResult]:
        """What the validation pictures give a member's head, by parts of them."""
        if not self._judged:
            began = time.monotonic()
            self._judged = [self._judge_rows(rows) for rows in _parts(len(self.valid))]
            self._seconds_to_judge = time.monotonic() - began
        else:
            member.shared_seconds += self._seconds_to_judge
        return [results[member] for results in self._judged]

    def export(self, member: Member) -> dict[str, torch.Tensor]:
        """The head that `judge` judged."""
        return self.bank.export(self._members.index(member))

    def state(self, member: Member) -> dict[str, torch.Tensor]:
        """A head and its optimizer, as a group of it alone has them."""
        return self.bank.state_dict(self._members.index(member))

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put back what `state` gave, into a group of one."""
        self.bank.load_state_dict(state)

    def _begin_epoch(self, epoch: int, step: int) -> None:
        self._epoch, self._step = epoch, step
        # Steps before the one that a resumed epoch goes on with are nobody's any more.
        self._results = [{} for _ in range(step)]
        self._seconds = [0.0] * step
        self._judged = []
        self._order = epoch_order(
            len(self.train),
            seed=self._plan.options.seed,
            epoch=epoch,
            shuffle=True,
            weights=self._plan.picture_weights,
        ).indices

    def _take_step(self, observers: Observers) -> None:
        device, views = self._hardware.device, self._plan.options.views
        first = self._step * self.rows_per_step
        with observers.phase("data"):
            chosen = self._order[first : first + self.rows_per_step]
            rows = torch.from_numpy(self.train.views[view_of_epoch(self._epoch, views)][chosen])
            labels = torch.from_numpy(self.train.labels[chosen])
        with observers.phase("transfer"):
            rows, labels = rows.to(device), labels.to(device)
        rates = [
            member.learning_rate(self._epoch, self._step, self.steps_per_epoch)
            for member in self._members
        ]
        # Of several heads each has watchers of its own, and none sees the others' weights.
        watched = bool(observers) and len(self._members) == 1
        with observers.phase("optimizer"):
            told = observers.before_update if watched else None
            result = self.bank.step(rows, labels, rates, before_update=told)
        self._results.append(self._by_member(result, len(chosen)))
        self._step += 1

    def _judge_rows(self, rows: slice) -> dict[Member, BatchResult]:
        device = self._hardware.device
        wanted = torch.from_numpy(self.valid.labels[rows]).to(device)
        features = torch.from_numpy(self.valid.views[0][rows]).to(device)
        return self._by_member(self.bank.evaluate(features, wanted), len(wanted), wanted)

    def _by_member(
        self, result: HeadResults, count: int, labels: torch.Tensor | None = None
    ) -> dict[Member, BatchResult]:
        heads = len(self._members)
        predicted = [None] * heads if result.predictions is None else result.predictions.unbind()
        results = map(
            BatchResult,
            result.losses.unbind(),
            result.correct.unbind(),
            [count] * heads,
            [labels] * heads,
            predicted,
        )
        return dict(zip(self._members, results, strict=True))


def _parts(count: int) -> Iterable[slice]:
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, count, ROWS_AT_ONCE))


def _head_options(plan: Plan, classifier: Classifier) -> HeadOptions:
    options = plan.options
    return HeadOptions(
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        eps=options.eps,
        betas=(options.beta1, options.beta2),
        momentum=options.momentum,
        # A continued model keeps its own where none is given.
        dropout=classifier.architecture.dropout,
        label_smoothing=options.label_smoothing,
        class_weights=plan.loss_weights,
        clip_grad=options.clip_grad,
        ema=options.ema,
        seed=options.seed,
    )
