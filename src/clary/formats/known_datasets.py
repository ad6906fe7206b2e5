"""The data sets that have a name, so that every door offers the same ones.

`clary.vision.datasets` fetches them; a folder of the same name in the working folder goes first.
"""

from __future__ import annotations

from collections.abc import Mapping

KNOWN_DATASETS = {
    "cifar10": "60,000 pictures of 32×32 in 10 classes, downloaded",
    "digits": "1,797 real handwritten digits in 10 classes, no network needed",
    "dogs": "8,351 photos of dogs in 133 breeds, downloaded",
}

# Training options for those that are too small, and unlike photos, to gain from a pretrained
# network: what `clary run` takes where no network is asked for, and what needs no download.
SUITED_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "digits": {
        "model": "test_resnet",
        "weights": "none",
        "image_size": "32",
        "augmentation": "none",
        "epochs": "5",
    }
}
