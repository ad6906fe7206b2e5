"""Many heads with different hyperparameters, trained together on the same features.

All heads of a bank have the same layers; what differs (optimizer, learning rate, decay, dropout,
…) is held as one tensor per hyperparameter, so that a step is a handful of batched products
whatever the number of heads. A head learns what it would learn alone: `torch.optim`'s arithmetic,
and dropout drawn from the head's own seed and the step.

A bank is owned by one thread. All arithmetic is float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from clary.vision.features.head_optimizers import HeadOptimizer
from clary.vision.features.head_options import HeadOptions
from clary.vision.observer import Learning

ROWS_AT_ONCE = 4096
# Parameters of all heads together.
ALONE_BELOW = 1_000_000


@dataclass(frozen=True)
class HeadResults:
    """Per head: mean loss of the rows, shape (K,), and how many were right, shape (K,).

    `predictions` (K, N) are class numbers, where the heads were judged.
    """

    losses: Tensor
    correct: Tensor
    predictions: Tensor | None = None


class HeadBank:
    """K heads that are trained in batched products.

    Args:
        heads: K stacks as `models.build_head` makes them, of the same layers; their weights are
            copied. Their own dropout layers are not used, `HeadOptions.dropout` is.
        options: K sets of hyperparameters.
        device: where the bank computes.

    Raises:
        ValueError: the numbers differ, there are none, or the heads differ in their layers.
    """

    def __init__(
        self,
        heads: Sequence[nn.Sequential],
        options: Sequence[HeadOptions],
        device: torch.device | str = "cpu",
    ) -> None:
        if len(heads) != len(options) or not heads:
            raise ValueError(f"{len(heads)} heads were given with {len(options)} sets of options")
        shapes = [[tuple(p.shape) for p in head.parameters()] for head in heads]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError("the heads of a bank must have the same layers")
        self.options = tuple(options)
        self.device = torch.device(device)
        # Dropout layers, which not all heads have, count in the names.
        self._names = [
            [name for name, layer in head.named_children() if _is_linear(layer)] for head in heads
        ]
        layers = [
            [
                head.get_submodule(names[depth])
                for head, names in zip(heads, self._names, strict=True)
            ]
            for depth in range(len(self._names[0]))
        ]
        self._weights = [_stack(layer, "weight", self.device) for layer in layers]
        self._biases = [_stack(layer, "bias", self.device) for layer in layers]
        self._optimizer = HeadOptimizer(options, [*self._weights, *self._biases])
        self._averages: list[Tensor] | None = None
        if any(option.ema for option in options):
            self._averages = [tensor.clone() for tensor in self._parameters()]
        self._stack_options()

    def _stack_options(self) -> None:
        """One tensor a hyperparameter, or None where no head asks for it."""
        options = self.options
        self._average_rate = _per_head([1 - option.ema for option in options], self.device)
        self._dropout = any(option.dropout for option in options)
        self._smoothing = _per_head([option.label_smoothing for option in options], self.device)
        self._class_weights = self._stacked_class_weights()
        self._clip: Tensor | None = None
        if any(option.clip_grad is not None for option in options):
            bounds = [math.inf if o.clip_grad is None else o.clip_grad for o in options]
            self._clip = torch.tensor(bounds, device=self.device)

    def __len__(self) -> int:
        return len(self.options)

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._optimizer.steps

    def step(
        self,
        features: Tensor,
        labels: Tensor,
        lrs: Sequence[float],
        *,
        before_update: Callable[[Callable[[], Sequence[Learning]]], None] | None = None,
    ) -> HeadResults:
        """Train every head on one batch.

        Args:
            features: float32 (B, D) on the bank's device.
            labels: int64 (B,) there.
            lrs: K learning rates.
            before_update: an observer's, which is told of the first head.

        Returns:
            The loss that was minimised (smoothed, weighted) and the hits, before the step.
        """
        with torch.no_grad(), self._threads():
            return self._step(features, labels, lrs, before_update)

    def _step(
        self,
        features: Tensor,
        labels: Tensor,
        lrs: Sequence[float],
        before_update: Callable[[Callable[[], Sequence[Learning]]], None] | None,
    ) -> HeadResults:
        inputs, masks, logits = self._forward(features, self._parameters(), training=True)
        targets = self._targets(labels)
        weights = targets.sum(dim=2, keepdim=True)
        # Smoothing does not enter the divisor: torch divides by the labels' own weights.
        divisor = self._class_weights[:, labels].sum(dim=1).view(-1, 1, 1)
        log_probabilities = logits.log_softmax(dim=2)
        losses = -(targets * log_probabilities).sum(dim=(1, 2)) / divisor.view(-1)
        gradient = (log_probabilities.exp() * weights - targets) / divisor
        gradients = self._backward(gradient, inputs, masks)
        if before_update is not None:
            before_update(lambda: self._learning(gradients))
        if self._clip is not None:
            self._clip_gradients(gradients, self._clip)
        self._optimizer.step(gradients, lrs)
        if self._averages is not None:
            self._update_averages(self._averages)
        return HeadResults(losses, (logits.argmax(dim=2) == labels).sum(dim=1))

    def _learning(self, gradients: Sequence[Tensor]) -> list[Learning]:
        """The first head's parameters, by their paths in the classifier."""
        names = [f"head.{name}.{kind}" for kind in ("weight", "bias") for name in self._names[0]]
        parameters = zip(names, self._parameters(), gradients, strict=True)
        return [Learning(name, value[0], gradient[0]) for name, value, gradient in parameters]

    @torch.no_grad()
    def evaluate(self, features: Tensor, labels: Tensor) -> HeadResults:
        """Plain cross-entropy and hits of features (N, D) with labels (N,), without dropout.

        Heads with `ema` are judged by their averages.
        """
        losses = torch.zeros(len(self), device=self.device, dtype=torch.float64)
        predictions = labels.new_empty((len(self), len(labels)))
        for start in range(0, len(labels), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            logits = self.logits(features[rows])
            wanted = labels[rows].expand(len(self), -1).unsqueeze(2)
            losses -= logits.log_softmax(dim=2).gather(2, wanted).sum(dim=(1, 2))
            predictions[:, rows] = logits.argmax(dim=2)
        correct = (predictions == labels).sum(dim=1)
        return HeadResults(losses / max(1, len(labels)), correct, predictions)

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """The answers (K, N, C) of all heads to features (N, D), without dropout."""
        return self._forward(features, self._judged(), training=False)[2]

    def export(self, head: int) -> dict[str, Tensor]:
        """One head as it is judged, under the parameter names of the stacks that were given."""
        judged = self._judged()
        state: dict[str, Tensor] = {}
        for layer, name in enumerate(self._names[head]):
            state[f"{name}.weight"] = judged[layer][head].clone()
            state[f"{name}.bias"] = judged[len(self._weights) + layer][head].clone()
        return state

    def replace(self, head: int, state: dict[str, Tensor]) -> None:
        """Put weights that `export` gave into a head; its optimizer's state stays."""
        values = [state[f"{name}.weight"] for name in self._names[head]]
        values += [state[f"{name}.bias"] for name in self._names[head]]
        for tensors in (self._parameters(), self._judged()):
            for tensor, value in zip(tensors, values, strict=True):
                tensor[head].copy_(value)

    def keep(self, heads: Sequence[int]) -> None:
        """Go on with some of the heads only, in the order given; the others are forgotten.

        Raises:
            ValueError: there are none, or there is no such head.
        """
        if not heads or not all(0 <= head < len(self) for head in heads):
            raise ValueError(f"heads {list(heads)} cannot be kept of a bank of {len(self)}")
        chosen = torch.tensor(heads, device=self.device)
        self.options = tuple(self.options[head] for head in heads)
        self._names = [self._names[head] for head in heads]
        self._weights = [tensor[chosen] for tensor in self._weights]
        self._biases = [tensor[chosen] for tensor in self._biases]
        if self._averages is not None:
            averaged = any(option.ema for option in self.options)
            self._averages = [tensor[chosen] for tensor in self._averages] if averaged else None
        earlier = self._optimizer
        self._optimizer = HeadOptimizer(self.options, self._parameters())
        self._optimizer.take(earlier, heads)
        self._stack_options()

    def state_dict(self, head: int | None = None) -> dict[str, Tensor]:
        """All that a resumed training needs.

        Args:
            head: one head, as a bank of it alone has it; None is the whole bank.
        """
        heads = slice(None) if head is None else slice(head, head + 1)
        averages = self._averages or []
        if not any(option.ema for option in self.options[heads]):
            averages = []
        state = {f"parameters.{i}": t[heads] for i, t in enumerate(self._parameters())}
        state |= {f"averages.{i}": tensor[heads] for i, tensor in enumerate(averages)}
        state |= {f"optimizer.{n}": t for n, t in self._optimizer.state_dict(heads).items()}
        return {name: tensor.clone() for name, tensor in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            KeyError: the state is of a bank with other options.
        """
        for i, tensor in enumerate(self._parameters()):
            tensor.copy_(state[f"parameters.{i}"])
        for i, tensor in enumerate(self._averages or []):
            tensor.copy_(state[f"averages.{i}"])
        prefix = "optimizer."
        self._optimizer.load_state_dict(
            {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        )

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """One thread for small banks.

        Products this small gain nothing from a second thread, and where something else runs on
        the machine, waiting for it at the end of each took 90 times as long (22.9 against
        0.25 s for 20 heads of 2048→2 over 310 steps).
        """
        before = torch.get_num_threads()
        alone = sum(parameter.numel() for parameter in self._parameters()) < ALONE_BELOW
        if not alone or before == 1:
            yield
            return
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _parameters(self) -> list[Tensor]:
        return [*self._weights, *self._biases]

    def _judged(self) -> list[Tensor]:
        return self._parameters() if self._averages is None else self._averages

    def _forward(
        self, features: Tensor, parameters: list[Tensor], *, training: bool
    ) -> tuple[list[Tensor], list[Tensor | None], Tensor]:
        """Inputs of every layer, dropout masks of every layer, and logits (K, B, C).

        An input that all heads share is (B, D), one of their own (K, B, width).
        """
        depth = len(self._weights)
        inputs: list[Tensor] = []
        masks: list[Tensor | None] = []
        current = features
        for layer in range(depth):
            mask = None
            if training and self._dropout:
                mask = self._mask(current.shape[-1], current.shape[-2], layer)
            if mask is not None:
                current = current * mask
            masks.append(mask)
            inputs.append(current)
            weight, bias = parameters[layer], parameters[depth + layer].unsqueeze(1)
            if current.dim() == 2:
                count, width, _ = weight.shape
                product = current @ weight.flatten(0, 1).t()
                current = product.view(len(current), count, width).transpose(0, 1) + bias
            else:
                current = torch.baddbmm(bias, current, weight.transpose(1, 2))
            if layer < depth - 1:
                current = current.relu()
        return inputs, masks, current

    def _backward(
        self, gradient: Tensor, inputs: list[Tensor], masks: list[Tensor | None]
    ) -> list[Tensor]:
        """Gradients of weights and biases, from that of the logits (K, B, C)."""
        depth = len(self._weights)
        gradients: list[Tensor] = [gradient] * (2 * depth)
        for layer in reversed(range(depth)):
            given = inputs[layer]
            weight = self._weights[layer]
            if given.dim() == 2:
                flat = gradient.transpose(1, 2).reshape(-1, len(given))
                gradients[layer] = (flat @ given).view_as(weight)
            else:
                gradients[layer] = torch.bmm(gradient.transpose(1, 2), given)
            gradients[depth + layer] = gradient.sum(dim=1)
            if layer > 0:
                gradient = torch.bmm(gradient, weight)
                mask = masks[layer]
                if mask is not None:
                    gradient = gradient * mask
                # What dropout or ReLU put to zero passes nothing on.
                gradient = gradient * (given > 0)
        return gradients

    def _targets(self, labels: Tensor) -> Tensor:
        """Weighted, smoothed targets (K, B, C), as `torch.nn.CrossEntropyLoss` takes them."""
        classes = self._class_weights.shape[1]
        one_hot = nn.functional.one_hot(labels, classes).to(torch.float32)
        smoothed = (1 - self._smoothing) * one_hot + self._smoothing / classes
        return smoothed * self._class_weights.unsqueeze(1)

    def _mask(self, width: int, count: int, layer: int) -> Tensor:
        """Scaled dropout masks (K, B, width): a function of each head's seed, step and layer."""
        masks = np.ones((len(self), count, width), dtype=np.float32)
        for head, option in enumerate(self.options):
            if option.dropout:
                # 16 bits a mask, four from every draw: a third of the time of uniform floats.
                source = np.random.SFC64([option.seed, self.steps, layer])
                bits = source.random_raw(-(-count * width // 4)).view(np.uint16)
                threshold = min(65535, round(option.dropout * 65536))
                kept = bits[: count * width].reshape(count, width) >= threshold
                np.multiply(kept, 65536 / (65536 - threshold), out=masks[head])
        return torch.from_numpy(masks).to(self.device)

    def _clip_gradients(self, gradients: list[Tensor], bounds: Tensor) -> None:
        squares = torch.stack([g.square().flatten(1).sum(dim=1) for g in gradients])
        # The 1e-6 is torch.nn.utils.clip_grad_norm_'s.
        factors = (bounds / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    def _update_averages(self, averages: list[Tensor]) -> None:
        for average, value in zip(averages, self._parameters(), strict=True):
            if self.steps == 1:
                average.copy_(value)
            else:
                average.lerp_(value, self._average_rate.view(-1, *[1] * (value.dim() - 1)))

    def _stacked_class_weights(self) -> Tensor:
        classes = self._weights[-1].shape[1]
        rows = [option.class_weights or (1.0,) * classes for option in self.options]
        if any(len(row) != classes for row in rows):
            raise ValueError(f"class weights must be {classes}, one per class")
        return torch.tensor(rows, dtype=torch.float32, device=self.device)


def _per_head(values: Sequence[float], device: torch.device) -> Tensor:
    """One value a head, shape (K, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear)


def _stack(layers: Sequence[nn.Module], name: str, device: torch.device) -> Tensor:
    tensors = [layer.get_parameter(name).detach() for layer in layers]
    return torch.stack(tensors).to(device, torch.float32).contiguous()
