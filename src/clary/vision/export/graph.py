"""The whole way from pixels to probabilities as one module of tensor operations.

Resize and centre crop are two matrix products, computed from the picture's size inside the
graph, with the very coefficients of Pillow's antialiased filters, so that a program in any
language feeds pixels and needs no preprocessing of its own.
"""

from __future__ import annotations

from typing import cast

import PIL
import torch
from torch import Tensor, nn

from clary.formats.preprocessing import Preprocessing
from clary.vision.export import pairs
from clary.vision.models import Classifier

# Since then a picture whose height shrinks by over twice as many pixels as its width is resized
# in height first.
_PILLOW_TURNS_TALL = int(PIL.__version__.partition(".")[0]) >= 13


class ResizeCrop(nn.Module):
    """`EvaluationTransform` in tensor operations: uint8 (N, H, W, 3) to float (N, 3, S, S), 0…255.

    As in Pillow, the box is float32, the coefficients are whole multiples of 2⁻²², and the side
    that is resized first is rounded to whole levels before the other. Plain float32 products
    would differ by a level wherever a sum lies halfway, in a tenth of the pixels at some sizes.
    All of it is float32 arithmetic (`pairs`), so that every runtime gives the same pixels.
    Source: Pillow's `Resample.c`.
    """

    # Constants for TorchScript, which then compiles one of two branches and keeps no decision.
    __constants__ = ("bicubic",)

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.size = preprocessing.image_size
        self.short = preprocessing.resize_size
        self.bicubic = preprocessing.interpolation == "bicubic"
        self.turns_tall = int(_PILLOW_TURNS_TALL)

    def forward(self, images_nhwc: Tensor) -> Tensor:
        """Resize and crop pictures of one size.

        Args:
            images_nhwc: uint8, (N, H, W, 3), any height and width.

        Returns:
            float32, (N, 3, S, S), whole numbers from 0 to 255.
        """
        height, width = images_nhwc.shape[1], images_nhwc.shape[2]
        shorter = self.least(height, width)
        # 0 or 1, without a branch: exporters keep arithmetic, not decisions.
        less_height = height - self.size
        excess = less_height - 2 * (width - self.size)
        turned = self.turns_tall * self.sign(less_height) * self.sign(excess)
        rows = height + turned * (width - height)
        columns = width + turned * (height - width)
        places = _places(rows, columns, width, turned, images_nhwc)
        planes = images_nhwc.permute(0, 3, 1, 2).flatten(2)
        pixels = self.pick(planes, places).to(torch.float32)
        high, low = self.coefficients(columns, shorter, images_nhwc)
        narrow = self.levels(torch.matmul(pixels, high.t()), torch.matmul(pixels, low.t()))
        high, low = self.coefficients(rows, shorter, images_nhwc)
        crops = self.levels(torch.matmul(high, narrow), torch.matmul(low, narrow))
        places = _places(self.size, self.size, self.size, turned, images_nhwc)
        return self.pick(crops.flatten(2), places)

    def least(self, one: int, other: int) -> int:
        """The smaller of two sizes, as an operation that TorchScript compiles."""
        return min(one, other)

    def sign(self, number: int) -> int:
        """1 for a positive number, else 0, as an operation that TorchScript compiles."""
        return max(0, min(1, number))

    def pick(self, planes: Tensor, places: Tensor) -> Tensor:
        """Pixels (N, 3, P) at places (R, C), as (N, 3, R, C); OpenVINO converts this form."""
        picked = torch.index_select(planes, 2, places.flatten())
        return picked.view(planes.shape[0], 3, places.shape[0], places.shape[1])

    def coefficients(self, length: int, shorter: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """How much each of `length` pixels counts for each of the S, in units of 2⁻²².

        Args:
            length: pixels of this side of the picture.
            shorter: pixels of the shorter side.
            like: a tensor on the device to use.

        Returns:
            Two float32 of shape (S, length): the coefficient over 2¹¹, and the rest. Products
            of either with pixels stay under 2²⁴, where float32 is exact.
        """
        resized = self.short * length // shorter
        border = resized - self.size
        half = border // 2
        # Half of an odd border rounds to the even number, as Python's `round` does.
        first = half + (border % 2) * (half % 2)
        one = torch.ones(1, device=like.device)
        none = torch.zeros(1, device=like.device)
        ratio, ratio_rest = pairs.divide(one * length, none, one * resized, none)
        start, _ = pairs.multiply(ratio, ratio_rest, one * first, none)
        end, _ = pairs.multiply(ratio, ratio_rest, one * (first + self.size), none)
        end = torch.clamp(end, max=length)
        scale, scale_rest = pairs.divide(end - start, none, one * self.size, none)
        # An enlarging filter keeps its width.
        inverse, inverse_rest = pairs.divide(one, none, scale, scale_rest)
        enlarging = (scale < 1.0).to(torch.float32)
        inverse = enlarging + (1.0 - enlarging) * inverse
        inverse_rest = (1.0 - enlarging) * inverse_rest
        targets = torch.arange(self.size, device=like.device).to(torch.float32)[:, None] + 0.5
        centre, centre_rest = pairs.multiply(targets, none, scale, scale_rest)
        centre, centre_rest = pairs.add(centre, centre_rest, start, none)
        reach = 2 if self.bicubic else 1
        taps = 2 * (reach + (reach * length + resized - 1) // resized) + 3
        leftmost = torch.floor(centre - reach / inverse) - 1.0
        places = leftmost + torch.arange(taps, device=like.device).to(torch.float32)[None, :]
        distance, distance_rest = pairs.add(places + 0.5, none, -centre, -centre_rest)
        sign = 1.0 - 2.0 * (distance < 0.0).to(torch.float32)
        distance, distance_rest = pairs.multiply(
            distance * sign, distance_rest * sign, inverse, inverse_rest
        )
        weight, rest = self.filtered(distance, distance_rest)
        inside = ((places >= 0.0) & (places < length)).to(torch.float32)
        weight, rest = weight * inside, rest * inside
        whole, whole_rest = pairs.total(weight, rest)
        part, part_rest = pairs.divide(weight, rest, whole, whole_rest)
        high = torch.floor(part * 2048.0)
        low = torch.floor(((part * 2048.0 - high) + part_rest * 2048.0) * 2048.0 + 0.5)
        pixels = torch.arange(length, device=like.device).to(torch.float32)[None, :]
        tap = pixels - leftmost
        reached = ((tap >= 0.0) & (tap < taps)).to(torch.float32)
        tap = torch.clamp(tap, 0.0, taps - 1.0).to(torch.int64)
        return torch.gather(high, 1, tap) * reached, torch.gather(low, 1, tap) * reached

    def filtered(self, distance: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """The filter's value at a distance of 0 or more: triangle, or cubic with a = −½."""
        none = torch.zeros_like(distance)
        if not self.bicubic:
            value, value_rest = pairs.add(none + 1.0, none, -distance, -rest)
            inside = (value > 0.0).to(torch.float32)
            return value * inside, value_rest * inside
        near, near_rest = pairs.multiply(none + 1.5, none, distance, rest)
        near, near_rest = pairs.add(near, near_rest, none - 2.5, none)
        near, near_rest = pairs.multiply(near, near_rest, distance, rest)
        near, near_rest = pairs.multiply(near, near_rest, distance, rest)
        near, near_rest = pairs.add(near, near_rest, none + 1.0, none)
        far, far_rest = pairs.add(distance, rest, none - 5.0, none)
        far, far_rest = pairs.multiply(far, far_rest, distance, rest)
        far, far_rest = pairs.add(far, far_rest, none + 8.0, none)
        far, far_rest = pairs.multiply(far, far_rest, distance, rest)
        far, far_rest = pairs.add(far, far_rest, none - 4.0, none)
        is_near = (distance < 1.0).to(torch.float32)
        is_far = (1.0 - is_near) * (distance < 2.0).to(torch.float32) * -0.5
        return near * is_near + far * is_far, near_rest * is_near + far_rest * is_far

    def levels(self, high: Tensor, low: Tensor) -> Tensor:
        """Sums in units of 2⁻¹¹ and 2⁻²² to whole levels, 0…255; exact, in float32 alone."""
        carried = high + torch.floor(low / 2048.0)
        return torch.clamp(torch.floor((carried + 1024.0) / 2048.0), 0.0, 255.0)


class ExportedResizeCrop(ResizeCrop):
    """The same for `torch.export`, where comparing two sizes would fix the answer for ever."""

    def least(self, one: int, other: int) -> int:
        """The smaller of two sizes, as an operation that `torch.export` keeps."""
        return cast("int", torch.sym_min(one, other))

    def sign(self, number: int) -> int:
        """1 for a positive number, else 0, as an operation that `torch.export` keeps."""
        return cast("int", torch.sym_max(0, torch.sym_min(1, number)))

    def pick(self, planes: Tensor, places: Tensor) -> Tensor:
        """The same without a view, for which R × C would have to be proved equal to P."""
        return planes[:, :, places]


def _places(rows: int, columns: int, width: int, turned: int, like: Tensor) -> Tensor:
    """Where in a picture of `width`, row after row, the pixels of the turned picture stand."""
    row = torch.arange(rows, device=like.device) * (width + turned * (1 - width))
    column = torch.arange(columns, device=like.device) * (1 + turned * (width - 1))
    return row[:, None] + column[None, :]


class PixelsToProbabilities(nn.Module):
    """uint8 pixels (N, H, W, 3) to probabilities (N, classes), preprocessing included."""

    def __init__(self, resize_crop: ResizeCrop, scores: nn.Module) -> None:
        super().__init__()
        self.resize_crop = resize_crop
        self.scores = scores

    def forward(self, images: Tensor) -> Tensor:
        """Resize, crop, normalise, classify."""
        probabilities: Tensor = self.scores(self.resize_crop(images))
        return probabilities


class CropsToProbabilities(nn.Module):
    """Pixels of the network's size, float (N, 3, S, S) of 0…255, to probabilities (N, classes).

    Args:
        classifier: in eval mode.
        preprocessing: its normalisation becomes a part of the network.
        temperature: divides the logits.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, classifier: Classifier, preprocessing: Preprocessing, temperature: float
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.temperature = temperature
        mean = torch.tensor(preprocessing.mean, dtype=torch.float64)
        std = torch.tensor(preprocessing.std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * std)).float().view(1, 3, 1, 1))
        self.register_buffer("shift", (-mean / std).float().view(1, 3, 1, 1))

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Normalise, classify, divide by the temperature, softmax."""
        logits = self.classifier(images_nchw * self.scale + self.shift)
        return torch.softmax(logits.to(torch.float32) / self.temperature, dim=1)


class ServedNetwork(CropsToProbabilities):
    """Crops, uint8 (N, S, S, 3), to probabilities, float32 (N, classes): what a server runs."""

    def forward(self, crops_nhwc: Tensor) -> Tensor:
        """Put the channels first, and go on as with float pixels."""
        return super().forward(crops_nhwc.permute(0, 3, 1, 2).to(torch.float32))
