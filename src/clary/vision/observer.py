"""The protocol through which training is watched.

Who owns an observer: the caller of the training. Every method is called on the thread that
trains, in the order of the run, but `message`, which may come from any thread; an observer must
return quickly and must not change the model.
Training without observers makes no call at all.

    run_started
      epoch_started
        phase_started / phase_ended       many times: data, forward, backward, …
          batch_loaded                    within a phase "data"
        before_update                     a step of training, within its phase "optimizer"
        step_ended
      epoch_ended
    run_ended                              always, also after an error
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

    from clary.formats.timeline import Loading

Phase = Literal["data", "transfer", "forward", "backward", "optimizer", "evaluation", "checkpoint"]
Mode = Literal["train", "valid"]
LearnsFrom = Literal["pictures", "features"]


class BatchLoaded(NamedTuple):
    """What decoding and transforming a batch took, by threads beside the training.

    `start_ns` is of `time.perf_counter_ns`; `seconds` are those until the last picture was ready,
    `cpu_s` what all threads together computed.
    """

    start_ns: int
    seconds: float
    cpu_s: float
    pictures: int


@dataclass(frozen=True)
class RunStarted:
    """What is about to be trained. `steps_per_epoch` counts optimizer-visible batches.

    A model that learns from features is not called and keeps its weights while it is trained:
    `Observer.before_update` gives those that learn.
    """

    model: torch.nn.Module
    classes: tuple[str, ...]
    first_epoch: int
    epochs: int
    steps_per_epoch: int
    batch_size: int
    learns_from: LearnsFrom = "pictures"
    precision: str = ""
    train_loading: Loading | None = None
    valid_loading: Loading | None = None


class Learning(NamedTuple):
    """A parameter that is about to be updated, by its path in the model; to be read only."""

    path: str
    value: torch.Tensor
    gradient: torch.Tensor | None


@dataclass(frozen=True)
class StepEnded:
    """One batch is done; `step` counts from 0 in its mode. The learning rate is 0 in `valid`.

    `loss`, the mean of the batch, stays on its device: reading it may wait for the device.
    `labels` and `predictions` (N) are class numbers, there in `valid`.
    """

    mode: Mode
    epoch: int
    step: int
    loss: torch.Tensor
    batch_size: int
    learning_rate: float
    labels: torch.Tensor | None = None
    predictions: torch.Tensor | None = None


@dataclass(frozen=True)
class EpochEnded:
    """One epoch is done; losses are means per picture, accuracies fractions of 1."""

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float
    best: bool


class Observer:
    """A base with empty methods: override what you want to see."""

    looks_inside: bool = False
    """Whether it sees what the model's layers do: such a model is not compiled."""

    def run_started(self, run: RunStarted) -> None:
        """The model is built, the first batch is about to be fetched."""

    def epoch_started(self, epoch: int) -> None:
        """An epoch (from 1) begins."""

    def phase_started(self, phase: Phase) -> None:
        """A phase of the current step begins."""

    def phase_ended(self, phase: Phase) -> None:
        """The phase that began last is over."""

    def before_update(self, learning: Callable[[], Sequence[Learning]]) -> None:
        """Gradients are there, neither clipped nor used; `learning` collects them when called."""

    def step_ended(self, step: StepEnded) -> None:
        """A batch of training or validation is done."""

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """An epoch with its validation is done."""

    def batch_loaded(self, load: BatchLoaded) -> None:
        """A batch of pictures is ready, and will be used next."""

    def message(self, text: str) -> None:
        """Something that a person should know, in one sentence."""

    def progress(self, task: str, done: int, total: int) -> None:
        """Work beside the epochs is at `done` of `total` pictures, such as computing features."""

    def run_ended(self, error: BaseException | None) -> None:
        """The run is over; `error` is what ended it, None when it went well."""


class Observers(Observer):
    """Passes every call on to several observers, in their order; false when there are none."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self.looks_inside = any(observer.looks_inside for observer in self._observers)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def run_started(self, run: RunStarted) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.run_started(run)

    def epoch_started(self, epoch: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.epoch_started(epoch)

    def phase_started(self, phase: Phase) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.phase_started(phase)

    def phase_ended(self, phase: Phase) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.phase_ended(phase)

    def before_update(self, learning: Callable[[], Sequence[Learning]]) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.before_update(learning)

    def step_ended(self, step: StepEnded) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.step_ended(step)

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.epoch_ended(epoch)

    def batch_loaded(self, load: BatchLoaded) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.batch_loaded(load)

    def message(self, text: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.message(text)

    def progress(self, task: str, done: int, total: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.progress(task, done, total)

    def run_ended(self, error: BaseException | None) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.run_ended(error)

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Announce a phase around the block; nothing but a test when nobody watches."""
        if not self._observers:
            yield
            return
        self.phase_started(phase)
        try:
            yield
        finally:
            self.phase_ended(phase)
