"""Features of a split, computed once per (weights, pictures, transform, view) and kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from clary.formats.preprocessing import Preprocessing
from clary.formats.training_options import Augmentation, Precision
from clary.settings import Settings
from clary.vision.caching import CacheStore, cache_key
from clary.vision.datasets.dataset import Labels, Split
from clary.vision.decoding import default_workers
from clary.vision.features.backends import Backbone, Backend
from clary.vision.features.view_files import FeatureRows, Message, ViewFile
from clary.vision.loaders import PictureReader, filled_batches
from clary.vision.models import Classifier, device_of
from clary.vision.transforms import augmentation_rng, transform_for_view

VERSION = 1
# Pictures times views: enough to keep every core busy.
VIEWS_A_BATCH = 64
SECONDS_BETWEEN_FLUSHES = 5.0
# On these, reduced precision is judged.
EXAMPLES = 16

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Features:
    """Features of a split's pictures, in its order.

    `views[k]` is float32 of shape (N, D), mapped from the cache: a change to it stays in this
    process. `labels` is int64 of shape (N,). The cache keeps the files for as long as this is
    open; close it, or use it in `with`.
    """

    views: tuple[FeatureRows, ...]
    labels: Labels
    _files: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def width(self) -> int:
        """The number D of features."""
        return int(self.views[0].shape[1])

    def close(self) -> None:
        """Let the cache have the files."""
        self._files.close()

    def __enter__(self) -> Features:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Recipe:
    """What is shown to the backbone, and which backbone."""

    split: Split
    preprocessing: Preprocessing
    augmentation: Augmentation
    seed: int
    weights_fingerprint: str

    def key(self, view: int, backend: str) -> str:
        parts = {
            "version": VERSION,
            "weights": self.weights_fingerprint,
            "source": self.split.source.fingerprint(),
            "preprocessing": self.preprocessing.model_dump(),
            "backend": backend,
            "view": view,
        }
        if view > 0:
            parts |= {"augmentation": self.augmentation, "seed": self.seed}
        return cache_key(parts)

    def examples(self) -> torch.Tensor:
        """A few pictures of the whole split as the evaluation shows them: uint8 (N, S, S, 3)."""
        count = min(EXAMPLES, len(self.split))
        chosen = np.linspace(0, len(self.split) - 1, count).astype(int)
        transform = transform_for_view(self.preprocessing, self.augmentation, 0)
        read = PictureReader(self.split.source, min_side=transform.min_side)
        return torch.from_numpy(np.stack([transform(read(int(index))) for index in chosen]))

    def pictures(
        self, views: list[int], first: int, workers: int
    ) -> Generator[tuple[slice, torch.Tensor], None, None]:
        """Positions, and uint8 of shape (B, V, S, S, 3): every picture is decoded once."""
        transforms = [
            transform_for_view(self.preprocessing, self.augmentation, view) for view in views
        ]
        read = PictureReader(self.split.source, min_side=transforms[0].min_side)

        def fill(index: int, out: npt.NDArray[np.uint8]) -> None:
            image = read(index)
            for place, view in enumerate(views):
                out[place] = transforms[place](image, augmentation_rng(self.seed, view, index))

        side = self.preprocessing.image_size
        return filled_batches(
            len(self.split),
            fill,
            (len(views), side, side, 3),
            batch_size=max(1, VIEWS_A_BATCH // len(views)),
            workers=workers,
            first=first,
        )


def extract_features(
    classifier: Classifier,
    split: Split,
    *,
    preprocessing: Preprocessing,
    settings: Settings,
    weights_fingerprint: str,
    views: int = 1,
    augmentation: Augmentation = "none",
    seed: int = 0,
    precision: Precision = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
    message: Message | None = None,
) -> Features:
    """Give the backbone's pooled features of every picture, from the cache where it has them.

    View 0 is the evaluation transform; views 1…V-1 are augmented, with randomness that is a
    function of (seed, view, index), as in `BatchLoader.batches(epoch, view)`. All views that are
    missing are computed in one pass. A run that was killed is gone on with where it was, and two
    runs that need the same features compute them once.

    Args:
        classifier: its backbone is run, in eval mode, on the device where it is.
        split: pictures and labels.
        preprocessing: of the classifier.
        settings: where the cache is and how large it may grow.
        weights_fingerprint: changes when the backbone or its weights do.
        views: how many, at least 1.
        augmentation: of the views after the first.
        seed: of the augmentations.
        precision: `fp32` is plain float32 in torch, equal to the uncached path to 1e-6; `bf16`
            and `auto` are the fastest way on this machine: OpenVINO on a CPU, within 1e-2 of
            float32, autocast on a GPU.
        workers: threads that decode; None is one a core.
        progress: called with the pictures done and in all, on this thread; may raise to stop.
        message: told, in a sentence, what a person should know.

    Raises:
        UnreadablePicture: a picture cannot be decoded; what was computed before it is kept.
        DataError: a file is gone.
        StorageError: the cache folder cannot be made.
    """
    tell = message or _nobody
    store = CacheStore.of(settings)
    recipe = _Recipe(split, preprocessing, augmentation, seed, weights_fingerprint)
    backbone = Backbone(
        classifier.backbone, preprocessing, device_of(classifier), weights_fingerprint, store, tell
    )
    shape = (len(split), classifier.feature_count)
    with _evaluating(classifier.backbone), ExitStack() as stack:
        name = backbone.backend_name(precision, recipe.examples)
        files = [
            stack.enter_context(ViewFile(store, recipe.key(view, name), view, shape, tell))
            for view in range(views)
        ]
        with ExitStack() as locks:
            for file in files:
                if not file.complete:
                    locks.enter_context(file.building())
            # Another run may have completed some while this one waited.
            missing = [file for file in files if not file.complete]
            if missing:
                backend = backbone.backend(name, len(split) * len(missing))
                _compute(recipe, backend, missing, workers=workers, progress=progress or _nothing)
        rows = tuple(file.rows() for file in files)
        return Features(rows, split.labels, stack.pop_all())


def _compute(
    recipe: _Recipe,
    backend: Backend,
    files: list[ViewFile],
    *,
    workers: int | None,
    progress: Progress,
) -> None:
    first = min(file.done for file in files)
    for file in files:
        file.prepare()
    pictures = recipe.pictures([file.view for file in files], first, workers or default_workers())
    positions: deque[slice] = deque()

    def batches() -> Iterator[torch.Tensor]:
        for place, images in pictures:
            positions.append(place)
            yield images.flatten(0, 1)

    done, flushed_at = first, time.monotonic()
    try:
        with closing(pictures), closing(backend.run(batches())) as results:
            for features in results:
                place = positions.popleft()
                by_view = features.reshape(place.stop - place.start, len(files), -1)
                for number, file in enumerate(files):
                    file.write(place.start, by_view[:, number])
                done = place.stop
                if time.monotonic() - flushed_at > SECONDS_BETWEEN_FLUSHES:
                    _flush(files, done)
                    flushed_at = time.monotonic()
                progress(done, len(recipe.split))
    finally:
        _flush(files, done)


def _flush(files: list[ViewFile], done: int) -> None:
    for file in files:
        file.flush(max(done, file.done))


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put every part into eval mode, and each back into its own afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _nobody(_: str) -> None:
    """Messages that nobody reads."""


def _nothing(_: int, __: int) -> None:
    """Progress that nobody follows."""
