"""Pictures on disk, on the web or in memory, as labelled splits over one class map.

`open_dataset` is the door. Nothing here imports torch or decodes a picture.
"""

from clary.formats.known_datasets import KNOWN_DATASETS
from clary.vision.datasets.arrays import InMemory
from clary.vision.datasets.dataset import (
    SPLIT_NAMES,
    PictureDataset,
    PictureSource,
    Progress,
    Skipped,
    Split,
    Subset,
)
from clary.vision.datasets.listing import PICTURE_EXTENSIONS
from clary.vision.datasets.opening import open_dataset
from clary.vision.datasets.sources import ArraySource, FileSource

__all__ = [
    "KNOWN_DATASETS",
    "PICTURE_EXTENSIONS",
    "SPLIT_NAMES",
    "ArraySource",
    "FileSource",
    "InMemory",
    "PictureDataset",
    "PictureSource",
    "Progress",
    "Skipped",
    "Split",
    "Subset",
    "open_dataset",
]
