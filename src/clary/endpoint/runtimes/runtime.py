"""What runs a network."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from clary.formats.preprocessing import Preprocessing

Crops = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


class Stream(Protocol):
    """A network of one thread's own; no other thread may call it at the same time."""

    def probabilities(self, crops: Crops) -> Probabilities:
        """Probabilities, float32 of shape (N, classes), each row adding up to 1.

        Args:
            crops: uint8 of shape (N, S, S, 3), N of at least 1.
        """


class Runtime(Protocol):
    """A model that is loaded, of which threads take streams. Owned by whoever opened it."""

    @property
    def name(self) -> str:
        """What computes, and in which precision: "openvino bf16"."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures become crops."""

    @property
    def streams_wanted(self) -> int:
        """How many streams keep the machine busy."""

    @property
    def batch_wanted(self) -> int:
        """How many pictures at once cost the least each; more of them gain nothing."""

    def streams(self, count: int) -> list[Stream]:
        """Streams for `count` threads, that share the weights. Called once."""

    def whole(self) -> Stream | None:
        """A stream over all cores, for who is alone here; None where that is no faster."""
