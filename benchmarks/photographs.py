"""The photographs that benchmarks train on: real ones where they are, made ones elsewhere."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

from rows import leave_out

SHARED = Path(__file__).resolve().parents[2] / "shared"
SHARED_DATA = SHARED / "data"
MADE_PER_CLASS = {"train": 122, "val": 76}


def photographs(data: Path, work: Path) -> tuple[Path, str]:
    """Return a folder with `train/` and `val/`, and a sentence that says what is in it.

    `data` is such a folder itself, or holds the archives and their `unpack.py`.
    """
    if (data / "train").is_dir():
        return data, f"the photographs in {data.name}"
    if (data / "unpack.py").exists():
        subprocess.run([sys.executable, data / "unpack.py", work, "hymenoptera"], check=True)
        return work / "hymenoptera_data", "hymenoptera: ants and bees, about 500×375, 120 KB each"
    made = work / "made"
    _make_photographs(made)
    return made, "MADE pictures of 500×375, about 120 KB each: the real ones are not here"


def shared_set(name: str, folder: str, work: Path) -> Path:
    """Unpack a data set beside the checkout; a benchmark that cannot have it is left out.

    Args:
        name: as `unpack.py` calls it.
        folder: what it is unpacked as.
        work: gets it.
    """
    unpack = SHARED_DATA / "unpack.py"
    if not unpack.exists():
        leave_out(f"{name} is not beside the checkout: give its folder")
    subprocess.run([sys.executable, str(unpack), str(work), name], check=True)
    return work / folder


def shared_weights(name: str) -> Path:
    """Weights beside the checkout; a benchmark that cannot have them is left out."""
    weights = SHARED / "weights" / name
    if not weights.exists():
        leave_out(f"{name} is not beside the checkout: give --weights")
    return weights


def repeated(source: Path, target: Path, count: int, *, valid: int | None = None) -> Path:
    """Copy `train/` until it has `count` photographs, and `val/`, or `valid` a class of it.

    Every copy gets a comment of its own, so that no two files have the same bytes and a cache
    that goes by content gains nothing from the repetition.
    """
    files = [path for path in sorted((source / "train").glob("*/*")) if path.suffix == ".jpg"]
    for number, path in enumerate(islice(cycle(files), count)):
        folder = target / "train" / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        encoded, comment = path.read_bytes(), f"copy {number:06}".encode()
        marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{number:06}.jpg").write_bytes(encoded[:2] + marker + encoded[2:])
    for folder in sorted((source / "val").iterdir()):
        (target / "val" / folder.name).mkdir(parents=True)
        for path in sorted(folder.glob("*.jpg"))[:valid]:
            shutil.copy(path, target / "val" / folder.name)
    return target


def _make_photographs(folder: Path) -> None:
    for split, per_class in MADE_PER_CLASS.items():
        for label, name in enumerate(("coarse", "fine")):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(per_class):
                path = folder / split / name / f"{number:04}.jpg"
                path.write_bytes(_made_photograph(label, number + 1000 * (split == "val")))


def _made_photograph(label: int, number: int) -> bytes:
    """Noise at several scales, as photographs have it, so that decoding is as much work."""
    rng = np.random.default_rng([label, number])
    picture = np.zeros((375, 500, 3))
    for cells, strength in ((4, 60), (16, 40), (64 >> (2 * label), 30), (250, 22)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        picture += strength * (np.asarray(coarse.resize((500, 375), Image.BICUBIC)) / 128.0 - 1)
    encoded = io.BytesIO()
    Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=96)
    return encoded.getvalue()
