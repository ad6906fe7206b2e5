"""Training on pictures: forward, backward and step, for all layers or the last few."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from clary.errors import NonFiniteLoss, OutOfMemory, UsageError
from clary.formats.timeline import Loading
from clary.vision.datasets import Split
from clary.vision.evaluation import evaluate_split
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.history import Totals
from clary.vision.finetuning.objective import Objective
from clary.vision.finetuning.plan import Plan
from clary.vision.finetuning.starting import StartingModel
from clary.vision.loaders import Batch, BatchLoader
from clary.vision.mixing import mix_batch
from clary.vision.models import parameter_groups, set_trainable
from clary.vision.observer import Learning, StepEnded
from clary.vision.optimizers import (
    build_optimizer,
    learning_rate_factor,
    load_optimizer_state,
)
from clary.vision.transforms import to_network_input, view_of_epoch

COMPILE_FROM_STEPS = 1000
GPU_STEPS_BETWEEN_CHECKS = 20


@dataclass(frozen=True)
class _Sums:
    """Of one step: mean loss times pictures and hits, both on the device, and pictures."""

    loss: torch.Tensor
    hits: torch.Tensor
    count: int


class PictureTraining:
    """Trains a classifier batch by batch. See `Training` for the protocol."""

    def __init__(
        self,
        model: StartingModel,
        loaders: tuple[BatchLoader, BatchLoader],
        plan: Plan,
        context: RunContext,
    ) -> None:
        options = plan.options
        self.hardware = context.hardware
        self.processes = context.processes
        self.observers = context.observers
        self.plan = plan
        self.preprocessing = model.preprocessing
        self.classifier = self.hardware.placed(model.classifier)
        self.train_loader, self.valid_loader = loaders
        self.step = 0
        self.shared_seconds = 0.0
        self.learning_rate = plan.learning_rate
        self.steps_per_epoch = -(-len(self.train_loader) // options.accumulate)
        self.objective = Objective(
            self.classifier.class_count,
            options.label_smoothing,
            plan.loss_weights,
            self.hardware.device,
        )
        set_trainable(self.classifier, plan.trainable_layers)
        groups = parameter_groups(
            self.classifier, plan.learning_rate, options.weight_decay, options.layer_decay
        )
        self.base_rates = [float(group["lr"]) for group in groups]
        self.optimizer = build_optimizer(groups, options)
        self.average = (
            AveragedModel(
                self.classifier,
                multi_avg_fn=get_ema_multi_avg_fn(options.ema),  # type: ignore[no-untyped-call]
            )
            if options.ema
            else None
        )
        self._network: torch.nn.Module | None = None
        self._piece = options.batch_size
        self._normalises_batches = True

    @property
    def loadings(self) -> tuple[Loading, Loading]:
        """How its loaders are set up; see `Training`."""
        return self.train_loader.loading, self.valid_loader.loading

    def train_epoch(
        self, epoch: int, start: int, totals: Totals, should_pause: Callable[[], bool]
    ) -> bool:
        """Train the steps of an epoch from `start`; see `Training`.

        Raises:
            TrainingError: the loss is not finite, or memory does not suffice.
            DataError: a picture cannot be read.
        """
        options = self.plan.options
        self._unfreeze_when_due(epoch)
        self.classifier.train()
        self._normalises_batches = any(
            isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.training
            for part in self.classifier.modules()
        )
        view = view_of_epoch(epoch, options.views) if self.plan.frozen else None
        batches = self.train_loader.batches(epoch, view=view, start=start * options.accumulate)
        self.step = start
        with closing(batches):
            while self.step < self.steps_per_epoch:
                if self.processes.any(should_pause(), self.hardware.device):
                    return False
                with self.observers.phase("data"):
                    group = self._next_group(batches)
                if group:
                    self._train_step(epoch, group, totals)
                self.step += 1
        self._check_finite(totals.sums[0], epoch)
        return True

    def _next_group(self, batches: Iterator[Batch]) -> list[Batch]:
        left = len(self.train_loader) - self.step * self.plan.options.accumulate
        group = [next(batches) for _ in range(min(self.plan.options.accumulate, left))]
        if not self._normalises_batches or self.plan.options.batch_size == 1:
            return group
        # A last batch of one picture has no variance for BatchNorm to normalise by; in another
        # epoch's order that picture has its turn.
        return [batch for batch in group if len(batch) > 1]

    def _train_step(self, epoch: int, group: Sequence[Batch], totals: Totals) -> None:
        options = self.plan.options
        done = (epoch - 1) * self.steps_per_epoch + self.step
        factor = learning_rate_factor(options, done, self.steps_per_epoch, options.epochs)
        for rate, parameters in zip(self.base_rates, self.optimizer.param_groups, strict=True):
            parameters["lr"] = rate * factor
        self.learning_rate = self.plan.learning_rate * factor

        sums = self._group_gradients(epoch, group)
        if self.hardware.device.type == "cpu" or self.step % GPU_STEPS_BETWEEN_CHECKS == 0:
            self._check_finite(sums.loss, epoch)
        totals.add(sums.loss, sums.hits, sums.count)
        with self.observers.phase("optimizer"):
            if self.observers:
                self.observers.before_update(self._learning)
            if options.clip_grad is not None:
                torch.nn.utils.clip_grad_norm_(self.classifier.parameters(), options.clip_grad)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if self.average is not None:
                self.average.update_parameters(self.classifier)
        if self.observers:
            mean = sums.loss / sums.count
            self.observers.step_ended(
                StepEnded("train", epoch, self.step, mean, sums.count, self.learning_rate)
            )

    def _learning(self) -> list[Learning]:
        return [
            Learning(name, parameter.detach(), parameter.grad)
            for name, parameter in self.classifier.named_parameters()
            if parameter.requires_grad
        ]

    def _group_gradients(self, epoch: int, group: Sequence[Batch]) -> _Sums:
        """Add up the gradients of a step's batches; in smaller pieces when memory is short.

        Raises:
            OutOfMemory: even one picture at a time does not fit.
            UsageError: BatchNorm is given a single value to normalise.
        """
        while True:
            try:
                return self._try_group(epoch, group)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error) or self.processes.world_size > 1:
                    raise
                if self._piece <= 1:
                    raise OutOfMemory(
                        f"a single picture of {self.preprocessing.image_size} pixels does not fit "
                        "into memory: take a smaller --model or --image-size"
                    ) from error
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise UsageError(
                    f"pictures of {self.preprocessing.image_size} pixels cannot be trained one at "
                    "a time, for BatchNorm has nothing to compare: give --batch-size 2 or more"
                ) from error
            # The whole step again: what its earlier batches had added is part of what is dropped.
            self.optimizer.zero_grad(set_to_none=True)
            largest = max(len(batch) for batch in group)
            self._piece = max(1, min(self._piece, largest) // 2)
            if self.hardware.device.type == "cuda":
                torch.cuda.empty_cache()
            self.observers.message(
                f"memory does not suffice for {largest} pictures at once: from here on each batch "
                f"is computed in pieces of {self._piece}"
            )

    def _try_group(self, epoch: int, group: Sequence[Batch]) -> _Sums:
        key = [self.plan.options.seed, self.processes.rank, epoch, self.step]
        random = np.random.default_rng(key)
        torch.manual_seed(int(random.integers(2**63)))
        # Known before the first backward pass, so that every picture counts alike.
        weight = sum(self.objective.weight(batch.labels) for batch in group)
        device = self.hardware.device
        loss, hits = torch.zeros((), device=device), torch.zeros((), device=device)
        count = 0
        for number, batch in enumerate(group):
            with self.observers.phase("transfer"):
                images, targets, labels = self._on_device(batch, random)
            last = number == len(group) - 1
            for start in range(0, len(labels), self._piece):
                part = slice(start, start + self._piece)
                final = last and start + self._piece >= len(labels)
                with self._gradient_exchange(final):
                    with self.observers.phase("forward"), self.hardware.autocast():
                        logits = self._connected_network()(images[part])
                        piece = self.objective.total(logits, targets[part])
                    with self.observers.phase("backward"):
                        torch.autograd.backward(piece / weight)
                loss += piece.detach()
                hits += (logits.detach().argmax(1) == labels[part]).sum()
            count += len(labels)
        return _Sums(loss / weight * count, hits, count)

    def _on_device(
        self, batch: Batch, random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        options = self.plan.options
        device = self.hardware.device
        images = self._network_input(batch.images)
        labels = batch.labels.to(device, non_blocking=True)
        if not options.mixup and not options.cutmix:
            return images, labels, labels
        one_hot = torch.nn.functional.one_hot(labels, self.objective.classes).float()
        images, targets = mix_batch(
            images, one_hot, random, mixup_alpha=options.mixup, cutmix_alpha=options.cutmix
        )
        return images, targets, labels

    def _network_input(self, images: torch.Tensor) -> torch.Tensor:
        return to_network_input(
            images,
            self.preprocessing,
            device=self.hardware.device,
            dtype=torch.bfloat16 if self.hardware.bf16 else torch.float32,
            channels_last=self.hardware.channels_last,
        )

    def _gradient_exchange(self, final: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once a step, in its last backward pass."""
        network = self._connected_network()
        if isinstance(network, DistributedDataParallel) and not final:
            return cast(AbstractContextManager[None], network.no_sync())
        return nullcontext()

    def _connected_network(self) -> torch.nn.Module:
        """The classifier, compiled where that pays and wrapped where processes train together.

        An observer that looks inside sees nothing of a compiled one.
        """
        if self._network is None:
            network: torch.nn.Module = self.classifier
            steps = self.steps_per_epoch * self.plan.options.epochs
            pays = self.hardware.device.type == "cuda" and steps >= COMPILE_FROM_STEPS
            if pays and not self.observers.looks_inside:
                network = cast(torch.nn.Module, torch.compile(network))
            if self.processes.world_size > 1:
                devices = [self.hardware.device] if self.hardware.device.type == "cuda" else None
                network = DistributedDataParallel(network, device_ids=devices)
            self._network = network
        return self._network

    def _unfreeze_when_due(self, epoch: int) -> None:
        freeze = self.plan.options.freeze_epochs
        if not freeze:
            return
        set_trainable(self.classifier, 0 if epoch <= freeze else self.plan.trainable_layers)
        # The wrappers look at `requires_grad` once, when they are built.
        self._network = None

    def _check_finite(self, loss: torch.Tensor, epoch: int) -> None:
        if bool(torch.isfinite(loss)):
            return
        step = (epoch - 1) * self.steps_per_epoch + self.step + 1
        raise NonFiniteLoss(
            f"the loss became {float(loss)} at step {step} (epoch {epoch}): try a lower --lr than "
            f"{self.plan.learning_rate:g}, --clip-grad 1, or --precision fp32"
        )

    @torch.inference_mode()
    def validate(self, epoch: int) -> Totals:
        """Evaluate the classifier, or its average where one is kept, on the validation split.

        Raises:
            DataError: a picture cannot be read.
        """
        network = self._judged()
        network.eval()
        totals = Totals(self.hardware.device)
        with closing(self.valid_loader.batches(0)) as batches:
            for step in range(len(self.valid_loader)):
                with self.observers.phase("data"):
                    batch = next(batches)
                with self.observers.phase("transfer"):
                    images = self._network_input(batch.images)
                    labels = batch.labels.to(self.hardware.device)
                with self.observers.phase("forward"), self.hardware.autocast():
                    logits = network(images)
                loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
                predictions = logits.argmax(1)
                totals.add(loss, (predictions == labels).sum(), len(labels))
                if self.observers:
                    mean, count = loss / len(labels), len(labels)
                    self.observers.step_ended(
                        StepEnded("valid", epoch, step, mean, count, 0.0, labels, predictions)
                    )
        self.processes.add_up(totals.sums)
        return totals

    @torch.inference_mode()
    def logits(self, split: Split) -> npt.NDArray[np.float32]:
        """The classifier's answers (N, C) to a split, in its order.

        Raises:
            DataError: a picture cannot be read.
        """
        return evaluate_split(
            self.classifier,
            split,
            self.preprocessing,
            batch_size=min(64, self._piece),
            workers=self.plan.workers,
            bf16=self.hardware.bf16,
        )

    def _judged(self) -> torch.nn.Module:
        return self.classifier if self.average is None else self.average.module

    def state(self) -> dict[str, Any]:
        """Weights, optimizer and average; see `Training`."""
        return {
            "classifier": dict(self.classifier.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else dict(self.average.state_dict()),
            "piece": self._piece,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self.classifier.load_state_dict(state["classifier"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        self._piece = min(self._piece, state["piece"])

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy, on the CPU, of the weights that `validate` judged."""
        state = self._judged().state_dict()
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put the weights of the best epoch into the classifier."""
        self.classifier.load_state_dict(weights)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "DefaultCPUAllocator" in text or "not enough memory" in text
