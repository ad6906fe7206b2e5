"""Write ten handwritten digits of the test split as PNG files: what training never saw.

python examples/digit_pictures.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from clary.settings import Settings
from clary.vision.datasets import open_dataset


def main(folder: Path) -> None:
    dataset = open_dataset("digits", settings=Settings.from_environment())
    test = dataset.splits["test"]
    folder.mkdir(parents=True, exist_ok=True)
    for label, name in enumerate(dataset.classes):
        index = next(i for i, found in enumerate(test.labels) if found == label)
        Image.fromarray(test.source.read(index)).save(folder / f"digit-{name}.png")
    print(f"{len(dataset.classes)} pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
