"""Which objects an S3DataSource means, and what they are called in a channel's folder.

S3Prefix                every key that begins with the prefix
ManifestFile            [{"prefix": "s3://bucket/folder/"}, "key", …]
AugmentedManifestFile   a JSON object per line; attributes ending in -ref name objects
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from clary.errors import ClaryError
from clary.service.executors.places import split_uri

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

# A record in Pipe mode: what a reader gets one after the other.
Record = list[dict[str, str]]


class Asking(Protocol):
    """What asks for objects: its ARN and its request stand in the sentence when there are none."""

    @property
    def arn(self) -> str:
        """Of the job or the model."""

    @property
    def request(self) -> Mapping[str, Any]:
        """As it was created."""


class Located(NamedTuple):
    """An object: its name in the channel's folder, the file that holds it, and its URI."""

    name: str
    path: Path
    uri: str


def located_objects(store: ObjectStore, source: Mapping[str, Any], job: Asking) -> list[Located]:
    """The objects of a prefix or a manifest, in the order of their keys or of the manifest.

    Raises:
        ClaryError: there is none, or the manifest cannot be used.
    """
    uri = str(source["S3Uri"])
    if source.get("S3DataType") == "ManifestFile":
        return _manifest_objects(store, uri, job)
    bucket, prefix = split_uri(uri)
    objects = list(_prefix_objects(store, bucket, prefix)) if store.has_bucket(bucket) else []
    if not objects:
        raise ClaryError(_nothing_under(uri, job))
    return objects


def located_records(store: ObjectStore, source: Mapping[str, Any], job: Asking) -> list[Record]:
    """What a channel streams in Pipe mode.

    Raises:
        ClaryError: there is nothing, or a manifest cannot be used.
    """
    if source.get("S3DataType") == "AugmentedManifestFile":
        return _augmented_records(store, source, job)
    return [[{"path": str(found.path)}] for found in located_objects(store, source, job)]


def object_file(store: ObjectStore, uri: str, job: Asking) -> Path:
    """The file that holds one object.

    Raises:
        ClaryError: there is no such object.
    """
    bucket, key = split_uri(uri)
    if not store.has_bucket(bucket):
        raise ClaryError(_nothing_under(uri, job))
    return store.info(bucket, key).path


def _prefix_objects(store: ObjectStore, bucket: str, prefix: str) -> Iterator[Located]:
    folder = prefix if prefix.endswith("/") else prefix + "/"
    parent = prefix.rpartition("/")[0]
    for info in store.iterate(bucket, prefix):
        if info.key.endswith("/"):  # a folder's marker, made by consoles
            continue
        if prefix and info.key.startswith(folder):
            name = info.key[len(folder) :]
        else:  # the key itself, or one of which the prefix is the beginning
            name = info.key[len(parent) :].lstrip("/")
        yield Located(name, info.path, f"s3://{bucket}/{info.key}")


def _manifest_objects(store: ObjectStore, uri: str, job: Asking) -> list[Located]:
    content = _manifest(object_file(store, uri, job), uri)
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict) or not isinstance(first.get("prefix"), str):
        raise ClaryError(
            f'{uri} is no manifest: it must be a JSON list that begins with {{"prefix": "s3://…"}}'
        )
    names = content[1:]
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if wrong is not None:
        raise ClaryError(f"{uri} lists {wrong!r}: after the prefix come keys, each a string")
    uris = [first["prefix"] + name for name in names]
    return [
        Located(name, object_file(store, uri, job), uri)
        for name, uri in zip(names, uris, strict=True)
    ]


def _augmented_records(store: ObjectStore, source: Mapping[str, Any], job: Asking) -> list[Record]:
    uri = str(source["S3Uri"])
    attributes = list(source.get("AttributeNames") or ())
    if not attributes:
        raise ClaryError(f"{uri} is an AugmentedManifestFile: name its attributes (AttributeNames)")
    lines = object_file(store, uri, job).read_text(encoding="utf-8").splitlines()
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            values = [(name, entry[name]) for name in attributes]
        except (ValueError, KeyError, TypeError) as error:
            raise ClaryError(
                f"line {number} of {uri} cannot be used ({type(error).__name__}: {error}): each "
                f"line is a JSON object with {', '.join(attributes)}"
            ) from error
        records.append([_piece(store, name, value, job) for name, value in values])
    return records


def _piece(store: ObjectStore, name: str, value: Any, job: Asking) -> dict[str, str]:
    if name.endswith("-ref"):
        return {"path": str(object_file(store, str(value), job))}
    return {"text": value if isinstance(value, str) else json.dumps(value)}


def _manifest(path: Path, uri: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ClaryError(f"{uri} is not readable as JSON: {error}") from error


def _nothing_under(uri: str, job: Asking) -> str:
    region = job.arn.split(":")[3]
    role = job.request.get("RoleArn") or job.request.get("ExecutionRoleArn")
    permitted = f'the role "{role}"' if role else "the role"
    return (
        f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data source. Please '
        f"ensure that the bucket exists in the selected region ({region}), that objects exist "
        f'under that S3 prefix, and that {permitted} has "s3:ListBucket" permissions on '
        f'bucket "{split_uri(uri)[0]}".'
    )
