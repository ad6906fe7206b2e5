"""The channels of a job: from InputDataConfig to folders, mounts and pipes of each host.

| mode           | where the channel lies                                                    |
|----------------|---------------------------------------------------------------------------|
| File, FastFile | the bucket's own folder, mounted read-only; hard links, mounted read-only, |
|                | where the objects are not exactly a folder; copies where nothing mounts,  |
|                | and of what SDK v3 puts its programs into, for it makes them executable   |
| Pipe           | a list of the objects, which the host process streams                     |
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.errors import ClaryError
from clary.formats.files import storage_errors, write_text
from clary.formats.launch import Mount, PipeChannel
from clary.service.executors.copying import copy_file, link_file
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.objects import Located, located_objects, located_records
from clary.service.executors.places import HostPlace, split_uri

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore


_PROGRAM_CHANNELS = frozenset({"code", "sm_drivers"})

# Holds, for each channel, what a host has written into it.
CHANGES = ".changes"
# As much as is copied in a moment.
_SMALL_FILES = 100
_SMALL_BYTES = 4 << 20


@dataclass(frozen=True)
class HostChannels:
    """What the channels of one host come to.

    `config` is `inputdataconfig.json`; `folders` says where the files of a channel really lie.
    """

    config: Mapping[str, Mapping[str, Any]]
    folders: Mapping[str, Path]
    mounts: tuple[Mount, ...]
    pipes: tuple[PipeChannel, ...]


def place_channels(
    job: TrainingJobSpec,
    hosts: Sequence[HostPlace],
    store: ObjectStore,
    *,
    only_reads: bool = False,
) -> list[HostChannels]:
    """Bring the data of all channels to all hosts.

    Args:
        job: whose channels.
        hosts: where they go.
        store: where they come from.
        only_reads: the program is Clary's own: it finds its data by `folders`, in the buckets
            themselves where it can, and changes nothing.

    Returns:
        A value per host.

    Raises:
        ClaryError: data cannot be had; the sentence is AWS's where AWS has one.
    """
    placed = [_Placing(job, host, store, only_reads=only_reads) for host in hosts]
    for channel in job.request.get("InputDataConfig") or ():
        for host in placed:
            host.place(channel)
    return [host.placed() for host in placed]


def input_mode(job: TrainingJobSpec, channel: Mapping[str, Any]) -> str:
    """The mode of a channel: its own, or the algorithm's."""
    algorithm = job.request.get("AlgorithmSpecification") or {}
    return str(channel.get("InputMode") or algorithm.get("TrainingInputMode") or "File")


def s3_source(channel: Mapping[str, Any]) -> Mapping[str, Any]:
    """The S3DataSource of a channel.

    Raises:
        ClaryError: it has another source.
    """
    source = (channel.get("DataSource") or {}).get("S3DataSource")
    if not source:
        raise ClaryError(
            f"the channel {channel['ChannelName']} has no S3DataSource: upload its data, or serve "
            "the folder in place with `clary data link`"
        )
    return dict(source)


class _Placing:
    """The channels of one host, while they are placed."""

    def __init__(
        self, job: TrainingJobSpec, host: HostPlace, store: ObjectStore, *, only_reads: bool
    ) -> None:
        self._only_reads = only_reads
        self._job = job
        self._host = host
        self._store = store
        self._config: dict[str, dict[str, Any]] = {}
        self._folders: dict[str, Path] = {}
        self._mounts: list[Mount] = []
        self._pipes: list[PipeChannel] = []

    def placed(self) -> HostChannels:
        return HostChannels(self._config, self._folders, tuple(self._mounts), tuple(self._pipes))

    def place(self, channel: Mapping[str, Any]) -> None:
        name = str(channel["ChannelName"])
        source = s3_source(channel)
        mode = input_mode(self._job, channel)
        self._config[name] = {
            "ContentType": channel.get("ContentType"),
            "TrainingInputMode": mode,
            "S3DistributionType": source.get("S3DataDistributionType") or "FullyReplicated",
            "RecordWrapperType": channel.get("RecordWrapperType") or "None",
        }
        if mode == "Pipe":
            self._place_pipe(name, channel, source)
        elif source.get("S3DataType") == "AugmentedManifestFile":
            raise ClaryError(
                f"the channel {name} is an AugmentedManifestFile in {mode} mode: set its "
                "InputMode to Pipe"
            )
        else:
            self._place_files(name, source, mode)

    def _place_files(self, name: str, source: Mapping[str, Any], mode: str) -> None:
        target = self._host.directory.channel(name)
        _empty(target)
        whole = self._in_the_bucket(source)
        if self._only_reads and whole is not None:
            self._folders[name] = whole
            return
        writable = mode == "File" and not self._only_reads
        mounted = self._host.isolation != "none" and not (writable and self._is_small(source))
        if whole is not None and whole.is_dir() and mounted:
            self._folders[name] = whole
            self._mount(name, whole, writable=writable)
            return
        objects = located_objects(self._store, source, self._job)
        place = link_file if mounted or self._only_reads else copy_file
        _fill(target, self._shard(objects, source), place, name)
        self._folders[name] = target
        if mounted and not self._only_reads:
            self._mount(name, target, writable=writable)

    def _mount(self, name: str, folder: Path, *, writable: bool) -> None:
        changes = self._host.root / CHANGES / name
        if writable:
            for inside in (changes / "upper", changes / "work"):
                with storage_errors(inside):
                    inside.mkdir(parents=True, exist_ok=True)
        seen = str(self._host.seen.channel(name))
        self._mounts.append(Mount(str(folder), seen, str(changes) if writable else None))

    def _is_small(self, source: Mapping[str, Any]) -> bool:
        if source.get("S3DataType") != "S3Prefix":
            return False
        bucket, prefix = split_uri(str(source["S3Uri"]))
        if not self._store.has_bucket(bucket):
            return False
        first = list(islice(self._store.iterate(bucket, prefix), _SMALL_FILES + 1))
        return len(first) <= _SMALL_FILES and sum(info.size for info in first) <= _SMALL_BYTES

    def _in_the_bucket(self, source: Mapping[str, Any]) -> Path | None:
        """The folder, or the single file, that holds exactly what the channel holds."""
        if source.get("S3DataType") != "S3Prefix" or self._sharded(source):
            return None
        bucket, prefix = split_uri(str(source["S3Uri"]))
        if not self._store.has_bucket(bucket):
            return None
        folder = self._store.folder(bucket, prefix)
        if folder is not None and next(iter(self._store.iterate(bucket, prefix)), None):
            return folder.resolve()
        objects = located_objects(self._store, source, self._job)
        return objects[0].path if len(objects) == 1 and prefix.endswith(objects[0].name) else None

    def _place_pipe(self, name: str, channel: Mapping[str, Any], source: Mapping[str, Any]) -> None:
        records = located_records(self._store, source, self._job)
        lines = [json.dumps(record) + "\n" for record in self._shard(records, source)]
        listing = self._host.root / ".pipes" / f"{name}.jsonl"
        write_text(listing, "".join(lines))
        shuffle = channel.get("ShuffleConfig")
        self._pipes.append(
            PipeChannel(
                name,
                str(self._host.seen.channel(name).parent),
                str(listing),
                gzip=channel.get("CompressionType") == "Gzip",
                recordio=channel.get("RecordWrapperType") == "RecordIO",
                shuffle_seed=None if shuffle is None else int(shuffle["Seed"]),
            )
        )

    def _sharded(self, source: Mapping[str, Any]) -> bool:
        return source.get("S3DataDistributionType") == "ShardedByS3Key"

    def _shard(self, all_of_them: Sequence[Any], source: Mapping[str, Any]) -> Sequence[Any]:
        if not self._sharded(source):
            return all_of_them
        return all_of_them[self._host.number :: len(self._host.names)]


def _empty(folder: Path) -> None:
    """A job that is prepared once more after a crash begins anew."""
    with storage_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)


def _fill(target: Path, objects: Iterable[Located], place: Any, channel: str) -> None:
    for located in objects:
        parts = located.name.split("/")
        path = target.joinpath(*parts)
        if {"", ".", ".."} & set(parts):
            raise ClaryError(
                f"the channel {channel} holds the key {located.name!r}, which cannot be a file in "
                "its folder: rename the object or use Pipe mode"
            )
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise ClaryError(
                    f"the channel {channel} holds {located.name!r} twice, as a file and as a "
                    "folder or in two places of its manifest: rename one of them"
                )
        place(located.path, path)
