"""Data sets by name: fetched once, or made of what scikit-learn brings along."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from clary.errors import DownloadError
from clary.vision.datasets.arrays import InMemory
from clary.vision.datasets.dataset import Progress
from clary.vision.datasets.downloads import RemoteFile, fetch

# Size and checksum: as Keras and torchvision (MD5 c58f30108f718f92721af3b95e74349a) pin them.
CIFAR10 = RemoteFile(
    what="CIFAR-10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    file_name="cifar-10-python.tar.gz",
    size=170_498_071,
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
# Nobody publishes a checksum: the size, the layout and the zip's own checksums are verified.
DOGS = RemoteFile(
    what="The dog pictures of Udacity",
    url="https://s3-us-west-1.amazonaws.com/udacity-aind/dog-project/dogImages.zip",
    file_name="dogImages.zip",
    size=1_132_023_110,
)

_DOGS_MEMBER = "dogImages/train/"
_DIGITS_SIDE = 32
_DIGITS_WHITE = 16


def fetch_known(name: str, folder: Path, progress: Progress | None = None) -> Path:
    """Give the archive of `cifar10` or `dogs`.

    Raises:
        DownloadError: it could not be fetched, or is not the file expected.
        StorageError: the folder cannot be written, or the disk is full.
    """
    if name == "cifar10":
        return fetch(CIFAR10, folder, progress)
    archive = fetch(DOGS, folder, progress)
    check_member(archive, _DOGS_MEMBER)
    return archive


def check_member(archive: Path, member: str) -> None:
    """Check that a zip is whole enough to be listed, and has something below `member`.

    Raises:
        DownloadError: it is not.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DownloadError(f"{archive} is no zip ({error}): remove it to fetch it anew") from error
    if not any(name.startswith(member) for name in names):
        raise DownloadError(f"{archive} holds no {member}: remove it to fetch it anew")


def digits() -> InMemory:
    """1,797 handwritten digits of 8×8, enlarged to 32×32.

    Source: the test set of UCI's "Optical Recognition of Handwritten Digits" (E. Alpaydin and
    C. Kaynak, 1998) as in `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    small = np.rint(grey.reshape(-1, 8, 8) * (255 / _DIGITS_WHITE)).astype(np.uint8)
    size = (_DIGITS_SIDE, _DIGITS_SIDE)
    images = np.stack(
        [
            np.asarray(
                Image.fromarray(picture).convert("RGB").resize(size, Image.Resampling.BICUBIC)
            )
            for picture in small
        ]
    )
    return InMemory({"train": (images, labels)}, classes=[str(digit) for digit in range(10)])
