"""The training loss: cross-entropy with class weights, label smoothing and soft targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


class Objective:
    """Cross-entropy as a sum over pictures and the sum of their weights.

    Keeping the two apart lets a batch be computed in pieces, or gradients be accumulated, with
    the same result as in one go. Label smoothing after Szegedy et al. 2016.
    """

    def __init__(
        self,
        classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.classes = classes
        self.label_smoothing = label_smoothing
        self.class_weights = (
            None if class_weights is None else torch.tensor(class_weights, device=device)
        )

    def total(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The summed loss of logits (N, C) against labels (N,) or distributions (N, C)."""
        return functional.cross_entropy(
            logits.float(),
            targets,
            weight=self.class_weights,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )

    def weight(self, labels: torch.Tensor) -> float:
        """What the summed loss of pictures with these labels (N,) is divided by to be a mean.

        As in `torch.nn.CrossEntropyLoss` it is the sum of the labels' own class weights, blended
        targets or not.
        """
        if self.class_weights is None:
            return float(len(labels))
        return float(self.class_weights.cpu()[labels].sum())
