"""Mixup and CutMix: batches whose pictures and labels are blended."""

from __future__ import annotations

import numpy as np
import torch


def mix_batch(
    images: torch.Tensor,
    labels_onehot: torch.Tensor,
    rng: np.random.Generator,
    mixup_alpha: float,
    cutmix_alpha: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each picture of a batch with another one, and the labels in the same proportion.

    With both alphas above 0, either method is drawn with equal chance; with neither, the batch
    comes back as it is. The arguments are not changed.

    Args:
        images: (N, 3, H, W), floating point.
        labels_onehot: (N, C), rows that sum to 1.
        rng: the only source of randomness.
        mixup_alpha: Beta(α, α) gives the weight of the whole pictures; 0 is off.
        cutmix_alpha: Beta(α, α) gives the area that is kept; 0 is off.

    Returns:
        Images and labels of the same shapes.

    Sources: Zhang et al. 2017, "mixup"; Yun et al. 2019, "CutMix".
    """
    if mixup_alpha <= 0 and cutmix_alpha <= 0:
        return images, labels_onehot
    both = mixup_alpha > 0 and cutmix_alpha > 0
    cut = rng.random() < 0.5 if both else cutmix_alpha > 0
    alpha = cutmix_alpha if cut else mixup_alpha
    kept = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    if cut:
        images, kept = _paste(images, partner, kept, rng)
    else:
        images = torch.lerp(images[partner], images, kept)
    return images, torch.lerp(labels_onehot[partner], labels_onehot, kept)


def _paste(
    images: torch.Tensor, partner: torch.Tensor, kept: float, rng: np.random.Generator
) -> tuple[torch.Tensor, float]:
    height, width = images.shape[-2:]
    side = (1 - kept) ** 0.5
    centre_y, centre_x = int(rng.integers(height)), int(rng.integers(width))
    half_y, half_x = int(height * side / 2), int(width * side / 2)
    top, bottom = max(0, centre_y - half_y), min(height, centre_y + half_y)
    left, right = max(0, centre_x - half_x), min(width, centre_x + half_x)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[partner][..., top:bottom, left:right]
    # The border may have cut the patch: labels follow the area that was really pasted.
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
