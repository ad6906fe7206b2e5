"""Numbers per channel or picture: which units are alive, and whether inputs are normalised."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clary.formats.tensor_log.entries import UnitKind

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Threshold)
# Outside of these, SageMaker's SaturatedActivation counts an input as saturated.
TANH_INTERVAL = (-9.4999, 9.4999)
SIGMOID_INTERVAL = (-23.0, 16.99999)
ACTIVATIONS = (
    *RECTIFIERS,
    *(nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus),
    *(nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.LogSigmoid, nn.Softsign),
)
# Of a batch, as many pictures as these elements hold tell enough of a channel.
ELEMENTS = 1 << 20


def kind_of_output(module: nn.Module) -> UnitKind | None:
    """What is told of a module's outputs."""
    return "positive" if isinstance(module, RECTIFIERS) else None


def kind_of_input(module: nn.Module) -> UnitKind | None:
    """What is told of a module's inputs."""
    return "active" if isinstance(module, (nn.Tanh, nn.Sigmoid)) else None


def units_of(kind: UnitKind, tensor: Tensor, module: nn.Module) -> Tensor | None:
    """A number per channel (C), or per picture and channel (N, C); None for other shapes.

    Args:
        kind: what is told.
        tensor: a batch (N, C, …). Fractions are taken of its first pictures, as many as about a
            million elements hold, and at least one.
        module: what it goes into or comes from.
    """
    if tensor.ndim < 2 or not tensor.numel() or not tensor.dtype.is_floating_point:
        return None
    tensor = tensor.detach()
    if kind == "channel_means":
        return tensor.flatten(2).float().mean(2) if tensor.ndim > 2 else None
    pictures = max(1, min(len(tensor), ELEMENTS * len(tensor) // tensor.numel()))
    batch = tensor[:pictures]
    if kind == "positive":
        counted = batch > 0
    else:
        low, high = SIGMOID_INTERVAL if isinstance(module, nn.Sigmoid) else TANH_INTERVAL
        counted = (batch > low) & (batch < high)
    others = [dimension for dimension in range(counted.ndim) if dimension != 1]
    return counted.to(torch.float32).mean(others)
