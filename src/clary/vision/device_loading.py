"""Training views made on a GPU: nvJPEG decodes whole batches, crops are resized where they lie.

One core decodes and resizes some 220 photos a second, an H200 decodes 15,800: a GPU that trains
starves on its host's cores. Threads here only read files; everything else happens on the device.

A truncated file is an error as everywhere, because its end is looked at first. Damage in the
middle of a file, which the strict decoder of `clary.vision.decoding` would name, may pass nvJPEG
as a smeared picture: the data check before training finds it.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from clary.formats.preprocessing import Preprocessing
from clary.vision.datasets.dataset import Split
from clary.vision.decoding import decode_picture, decode_with_header
from clary.vision.headers import ends_well, read_header
from clary.vision.loaders import PREFETCHED_BATCHES, Batch, BatchLoader
from clary.vision.transforms import CROP_SCALES, TrainingTransform, augmentation_rng, random_crop

# Bytes at the end of a file in which the marker of its end must stand.
TAIL_BYTES = 64


@dataclass(frozen=True)
class Encoded:
    """A picture as it was read: a JPEG's bytes for the device, or pixels (height, width, 3)."""

    content: torch.Tensor
    is_jpeg: bool
    name: str
    orientation: int = 1


class DeviceBatchLoader(BatchLoader):
    """Batches whose pictures lie on the device already; of the augmentation `standard` only.

    Order, crops and mirroring are those of `BatchLoader` with the same seed; pixels differ by
    rounding. Ownership and threads are as there.

    Args:
        split: pictures and labels.
        preprocessing: gives the size and the interpolation.
        device: where pictures are decoded; a CPU serves for tests.
        more: what `BatchLoader` takes by keyword.
    """

    def __init__(
        self, split: Split, preprocessing: Preprocessing, device: torch.device, **more: Any
    ) -> None:
        super().__init__(split, TrainingTransform(preprocessing, "standard"), **more)
        self._device = device
        self._preprocessing = preprocessing

    def batches(
        self, epoch: int, view: int | None = None, start: int = 0
    ) -> Generator[Batch, None, None]:
        """Give the batches of an epoch from batch `start` on; see `BatchLoader.batches`.

        Raises:
            UnreadablePicture: a picture cannot be decoded; raised where the batch is awaited.
            DataError: a file is gone.
        """
        if view == 0:
            yield from super().batches(epoch, view, start)
            return
        order = self.order(epoch)
        turn = epoch if view is None else view
        starts = range(start * self._batch_size, len(order), self._batch_size)
        with closing(self._read_ahead(order.indices, starts)) as contents:
            for begin, encoded in zip(starts, contents, strict=True):
                indices = order.indices[begin : begin + self._batch_size]
                occurrences = order.occurrences[begin : begin + self._batch_size]
                randoms = [
                    augmentation_rng(
                        self._seed, turn, int(index), int(occurrence) if view is None else 0
                    )
                    for index, occurrence in zip(indices, occurrences, strict=True)
                ]
                images = self._views(encoded, randoms)
                yield Batch(images, torch.from_numpy(self._split.labels[indices]), indices)

    def _read_ahead(
        self, indices: np.typing.NDArray[np.int64], starts: Sequence[int]
    ) -> Generator[list[Encoded], None, None]:
        """Encoded batches, read by threads a few batches ahead of their use."""
        pending: deque[list[Future[Encoded]]] = deque()
        waiting = iter(starts)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="clary-files") as threads:

            def submit() -> None:
                for begin in waiting:
                    chosen = indices[begin : begin + self._batch_size]
                    pending.append([threads.submit(self._encoded, int(i)) for i in chosen])
                    return

            try:
                for _ in range(PREFETCHED_BATCHES + 1):
                    submit()
                while pending:
                    batch = [future.result() for future in pending.popleft()]
                    submit()
                    yield batch
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

    def _encoded(self, index: int) -> Encoded:
        source = self._split.source
        content, name = source.read(index), source.name(index)
        if not isinstance(content, bytes):
            return Encoded(torch.from_numpy(np.array(content)), is_jpeg=False, name=name)
        header = read_header(content, name)
        whole = ends_well(header.format, len(content), content, content[-TAIL_BYTES:])
        if header.format == "JPEG" and header.colour != "cmyk" and whole:
            encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            return Encoded(encoded, True, name, header.orientation)
        # What nvJPEG does not take, and what the strict decoder shall complain about.
        pixels = decode_with_header(content, header, name)
        return Encoded(torch.from_numpy(pixels), is_jpeg=False, name=name)

    def _views(
        self, encoded: Sequence[Encoded], randoms: Sequence[np.random.Generator]
    ) -> torch.Tensor:
        """Random views, uint8 of shape (B, S, S, 3) on the device."""
        jpegs = iter(self._decoded([each for each in encoded if each.is_jpeg]))
        views = []
        for picture, random in zip(encoded, randoms, strict=True):
            if picture.is_jpeg:
                pixels = next(jpegs)
            else:
                pixels = picture.content.to(self._device).permute(2, 0, 1)
            views.append(self._view(pixels, random))
        return torch.stack(views).permute(0, 2, 3, 1).contiguous()

    def _decoded(self, jpegs: list[Encoded]) -> list[torch.Tensor]:
        try:
            decoded = _decode_jpegs([each.content for each in jpegs], self._device)
            return [
                _upright(pixels, each.orientation)
                for pixels, each in zip(decoded, jpegs, strict=True)
            ]
        except RuntimeError:
            # It names no file and gives up the whole batch; the strict decoder does neither.
            return [
                torch.from_numpy(decode_picture(each.content.numpy().tobytes(), each.name))
                .permute(2, 0, 1)
                .to(self._device)
                for each in jpegs
            ]

    def _view(self, pixels_chw: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
        height, width = pixels_chw.shape[1:]
        left, top, wide, high = random_crop(width, height, CROP_SCALES["standard"], random)
        crop = pixels_chw[None, :, top : top + high, left : left + wide]
        size = self._preprocessing.image_size
        # In float, because the GPU has no kernel for bytes.
        resized = torch.nn.functional.interpolate(
            crop.float(),
            size=(size, size),
            mode=self._preprocessing.interpolation,
            antialias=True,
        )
        view = resized[0].round_().clamp_(0, 255).to(torch.uint8)
        return view.flip(2) if random.random() < 0.5 else view


def _decode_jpegs(encoded: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    if not encoded:
        return []
    from torchvision.io import ImageReadMode, decode_jpeg

    with warnings.catch_warnings():
        # Deprecated in favour of a package that most installations do not have yet.
        warnings.simplefilter("ignore")
        decoded: list[torch.Tensor] = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=device)
    return decoded


def _upright(pixels_chw: torch.Tensor, orientation: int) -> torch.Tensor:
    """Turn stored pixels as EXIF 2.32 section 4.6.4 A says."""
    if orientation in {5, 6, 7, 8}:
        pixels_chw = pixels_chw.transpose(1, 2)
    flips = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}.get(orientation, ())
    return pixels_chw.flip(flips) if flips else pixels_chw
