"""One door for all layouts: tell what lies at a place, read it, make a data set of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from clary.errors import DataError, UsageError
from clary.formats.known_datasets import KNOWN_DATASETS
from clary.settings import Settings
from clary.vision.datasets.archives import archive_stem, unpack
from clary.vision.datasets.arrays import InMemory, read_arrays
from clary.vision.datasets.assembly import SplitShares, assemble
from clary.vision.datasets.cifar import is_cifar_folder, read_cifar
from clary.vision.datasets.dataset import PictureDataset, Progress
from clary.vision.datasets.folders import (
    read_class_folders,
    read_split_folders,
    split_folders,
    subfolders,
)
from clary.vision.datasets.known import digits, fetch_known
from clary.vision.datasets.layout import FoundDataset, some, split_of
from clary.vision.datasets.listing import (
    MANIFEST_EXTENSIONS,
    PICTURE_EXTENSIONS,
    entries,
    extension,
    is_folder,
    is_hidden_file,
    is_hidden_folder,
    readable,
)
from clary.vision.datasets.manifests import describes_pictures, read_manifest

_ACCEPTED = (
    "give a folder with a folder per class, a manifest (.csv, .jsonl, .lst, .manifest), "
    "CIFAR batches, or a zip or tar of one of these"
)


def open_dataset(
    location: str | Path | InMemory,
    *,
    settings: Settings,
    seed: int = 0,
    valid_fraction: float = 0.15,
    test_fraction: float = 0.15,
    group_by: str | None = None,
    progress: Progress | None = None,
) -> PictureDataset:
    """Open a data set, whatever its layout; no picture is decoded.

    Args:
        location: a folder, manifest or archive, arrays, or a known name (`KNOWN_DATASETS`); a
            path of the same name goes first.
        settings: say where caches and downloads lie.
        seed: decides which pictures go into splits that are cut here.
        valid_fraction: share of the pictures for `valid`, where that is not found; 0 cuts none.
        test_fraction: share for `test`, where neither `valid` nor `test` is found; 0 cuts none.
        group_by: keeps groups together in splits that are cut: a manifest's column, or for
            folders a regular expression that finds the group in a picture's relative name.
        progress: called as `progress(what, done, total)` while something takes long.

    Raises:
        DataError: there is nothing to train on, or it is damaged; the sentence says which.
        DownloadError: a known data set could not be fetched.
        StorageError: the cache cannot be written, or the disk is full.
        UsageError: the fractions or `group_by` do not fit.
    """
    shares = SplitShares(seed, valid_fraction, test_fraction)
    if isinstance(location, InMemory):
        _refuse_groups(group_by, "arrays in memory have their own `groups`")
        return assemble(read_arrays(location), location.name, None, shares)
    path = Path(location).expanduser()
    known = str(location) if str(location) in KNOWN_DATASETS and not path.exists() else None
    if known == "digits":
        _refuse_groups(group_by, "digits has no groups")
        return assemble(read_arrays(digits()), known, None, shares)
    if known is not None:
        path = fetch_known(known, settings.datasets_dir, progress)
    elif not path.exists():
        raise DataError(_missing(str(location), path))
    if path.is_symlink() and path.is_file():
        # A job's channel may be a link, without extension, to an archive or a manifest.
        path = path.resolve()
    found = _Opener(settings, group_by, progress).read(path)
    name = known or archive_stem(path.name) or path.resolve().name
    return assemble(found, name, path.absolute(), shares)


def _refuse_groups(group_by: str | None, reason: str) -> None:
    if group_by is not None:
        raise UsageError(f"{reason}: leave out group_by {group_by!r}")


def _missing(location: str, path: Path) -> str:
    if "://" in location:
        return f"{location} is on the web: fetch it and give the path of the file or folder"
    if path.is_symlink():
        return f"{location} is a broken link: point it at the data"
    near = difflib.get_close_matches(location.lower(), [*KNOWN_DATASETS], n=1)
    known = ", ".join(sorted(KNOWN_DATASETS))
    hint = f"did you mean the data set {near[0]}" if near else f"or name a data set: {known}"
    return f"{location} does not exist: check the path ({hint})"


def _is_divided(folder: Path) -> bool:
    """Whether a folder taken for a class is a data set of its own, with a divided `train/`."""
    return any(
        split_of(name) == "train" and subfolders(folder / name) for name in subfolders(folder)
    )


def _manifests_in(folder: Path, extensions: Collection[str]) -> list[Path]:
    """The files directly in a folder that are manifests of pictures."""
    files = [
        folder / entry.name
        for entry in entries(folder)
        if extension(entry.name) in extensions
        and not is_hidden_file(entry.name)
        and entry.is_file()
    ]
    return [file for file in files if describes_pictures(file)]


@dataclass(frozen=True)
class _Opener:
    """Reads one location. `confined_to` is set once an archive was unpacked."""

    settings: Settings
    group_by: str | None
    progress: Progress | None
    confined_to: Path | None = None

    def read(self, path: Path) -> FoundDataset:
        with readable(path):
            is_folder = path.is_dir()
        return self._folder(path) if is_folder else self._file(path)

    def _file(self, path: Path) -> FoundDataset:
        suffix = extension(path.name)
        if archive_stem(path.name) is not None:
            if self.confined_to is not None:
                raise DataError(f"{path} is an archive in an archive: unpack the outer one first")
            return self._unpacked(path, unpack(path, self.settings, self.progress))
        if suffix in MANIFEST_EXTENSIONS:
            return read_manifest(path, group_by=self.group_by, confined_to=self.confined_to)
        if suffix in PICTURE_EXTENSIONS:
            raise DataError(f"{path} is a single picture, not a data set: {_ACCEPTED}")
        if is_cifar_folder(path.parent):
            raise DataError(f"{path} is one file of CIFAR: give its folder, {path.parent}")
        raise DataError(f"{path} is not a data set of a known kind: {_ACCEPTED}")

    def _unpacked(self, archive: Path, folder: Path) -> FoundDataset:
        try:
            return replace(self, confined_to=folder).read(folder)
        except DataError as error:
            if str(folder) not in str(error):
                raise
            # Nobody knows the folder of the cache: what is wrong is wrong with the archive.
            raise DataError(str(error).replace(str(folder), str(archive))) from error

    def _folder(self, folder: Path) -> FoundDataset:
        """The layouts in order: what can be told for certain goes first."""
        readers: tuple[Callable[[Path], FoundDataset | None], ...] = (
            self._cifar,
            self._splits,
            self._manifests,
            self._wrapped,
        )
        for reader in readers:
            found = reader(folder)
            if found is not None:
                return found
        return self._classes(folder)

    def _cifar(self, folder: Path) -> FoundDataset | None:
        if not is_cifar_folder(folder):
            return None
        _refuse_groups(self.group_by, "CIFAR has no groups")
        return read_cifar(folder, self.settings, self.progress)

    def _splits(self, folder: Path) -> FoundDataset | None:
        splits = split_folders(folder)
        return None if splits is None else read_split_folders(folder, splits, self.group_by)

    def _manifests(self, folder: Path) -> FoundDataset | None:
        """The one manifest that lies here, or one per split (`train.lst`, `validation.lst`)."""
        manifests = _manifests_in(folder, MANIFEST_EXTENSIONS) or [
            # SageMaker's channels: train/, validation/, train_lst/, validation_lst/.
            manifest
            for child in subfolders(folder)
            if child.lower().endswith("_lst")
            for manifest in _manifests_in(folder / child, {".lst"})
        ]
        if not manifests:
            return None
        if len(manifests) == 1:
            return self._file(manifests[0])
        by_split = {split_of(file.stem): file for file in manifests}
        if None in by_split or len(by_split) < len(manifests) or "train" not in by_split:
            raise DataError(
                f"{folder} holds several manifests ({some(file.name for file in manifests)}): "
                "give the path of one, or call them train, valid and test"
            )
        parts = {split: self._file(file) for split, file in by_split.items() if split}
        for split, part in parts.items():
            if part.names_splits and [*part.splits] != [split]:
                raise DataError(
                    f"{by_split[split]} is the manifest of {split} by its name, but its own "
                    f"column says {' and '.join(part.splits)}: remove the column, or give the "
                    "path of one manifest"
                )
        return replace(
            parts["train"],
            splits={
                split: part.splits[split if part.names_splits else "train"]
                for split, part in parts.items()
            },
            skipped=tuple(skip for part in parts.values() for skip in part.skipped),
        )

    def _wrapped(self, folder: Path) -> FoundDataset | None:
        """The single data set that a folder wraps: a folder of folders, or an archive."""
        visible = [
            entry
            for entry in entries(folder)
            if not (is_hidden_folder(entry.name) or is_hidden_file(entry.name))
        ]
        folders = [entry for entry in visible if is_folder(entry)]
        pictures = any(extension(entry.name) in PICTURE_EXTENSIONS for entry in visible)
        archives = [entry for entry in visible if archive_stem(entry.name) is not None]
        if not folders and len(archives) == 1 and not pictures:
            return self.read(folder / archives[0].name)
        if len(folders) != 1 or pictures:
            return None
        inner = folder / folders[0].name
        with readable(inner):
            if folder.resolve().is_relative_to(inner.resolve()):
                # A link back to where we are.
                return None
        holds_pictures = any(
            extension(entry.name) in PICTURE_EXTENSIONS
            for entry in entries(inner)
            if not is_hidden_file(entry.name)
        )
        if holds_pictures and self._manifests(inner) is None:
            return None
        return self._folder(inner)

    def _classes(self, folder: Path) -> FoundDataset:
        found = read_class_folders(folder, self.group_by)
        names = found.splits["train"].class_names
        if len(found.splits["train"].labels):
            labels = found.splits["train"].labels
            held = [names[label] for label in sorted(set(labels.tolist()))]
            words = [name for name in held if split_of(name)]
            divided = any(split_of(word) == "train" for word in words) or words == held
            if len(words) > 1 and divided:
                raise DataError(
                    f"{folder} has {' and '.join(f'{word}/' for word in words)} without class "
                    "folders in them: put each class's pictures into a folder named after the "
                    "class, or give a manifest"
                )
            several = [name for name in names if _is_divided(folder / name)]
            if several:
                raise DataError(
                    f"{folder} holds whole data sets ({some(several)}): give the path of one"
                )
            return found
        loose = [skip for skip in found.skipped if "outside of any class folder" in skip.reason]
        if loose:
            raise DataError(
                f"{folder} holds {len(loose)} picture(s) but no class folders with pictures: put "
                "each class's pictures into a folder named after the class, or give a manifest"
            )
        if names:
            raise DataError(
                f"{folder} holds no pictures, only other files or empty folders: {_ACCEPTED}"
            )
        if found.skipped:
            raise DataError(
                f"{folder} holds no pictures, but {some(skip.name for skip in found.skipped)}: "
                f"{_ACCEPTED}"
            )
        raise DataError(f"{folder} is empty: {_ACCEPTED}")
