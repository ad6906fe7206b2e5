"""What a transform job leaves in S3: an output for each object, and the lists that are captured.

    <S3OutputPath>/<name>.out                              of the object's name under its prefix
    <DestinationS3Uri>/input/<yyyy/mm/dd/hh>/<id>.json     [{"prefix": "s3://…/"}, "name", …]
    <DestinationS3Uri>/output/<yyyy/mm/dd/hh>/<id>.json    the same of the outputs

Objects that failed have no output. Stored once more after a crash, everything is the same.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from clary.formats.transform_plan import InputObject, output_file, read_objects
from clary.service.executors.places import split_uri
from clary.service.executors.transform_executor import TransformSpec

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

SUFFIX = ".out"
_AT_ONCE = 8
_HANDED_OVER = 64


def store_outputs(job: TransformSpec, store: ObjectStore) -> None:
    """Store the outputs of all objects that were transformed, and what is captured.

    Raises:
        ClaryError: a bucket is missing, or cannot be written.
    """
    prefix = _folder(job.request["TransformOutput"]["S3OutputPath"])
    accept = job.request["TransformOutput"].get("Accept")

    def place(transformed: tuple[InputObject, Path]) -> InputObject:
        one, path = transformed
        bucket, key = split_uri(prefix + one.name + SUFFIX)
        store.adopt(bucket, key, path, content_type=accept)
        return one

    done: list[InputObject] = []
    transformed = _transformed(job)
    # Each waits for the disk, and several can do so at once. Not all are handed over at once: the
    # service does not end before what was.
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="outputs") as pool:
        while some := list(islice(transformed, _HANDED_OVER)):
            done += pool.map(place, some)
    capture = job.request.get("DataCaptureConfig")
    if capture and done:
        begin = _common_prefix(done)
        names = [one.uri.removeprefix(begin) for one in done]
        where = _folder(capture["DestinationS3Uri"])
        _capture(job, store, f"{where}input/", begin, names)
        _capture(job, store, f"{where}output/", prefix, [one.name + SUFFIX for one in done])


def _transformed(job: TransformSpec) -> Iterator[tuple[InputObject, Path]]:
    for folder in job.hosts:
        for number, one in enumerate(read_objects(folder)):
            path = output_file(folder, number)
            if path.exists():
                yield one, path


def _capture(
    job: TransformSpec, store: ObjectStore, where: str, prefix: str, names: Iterable[str]
) -> None:
    identity = uuid.uuid5(uuid.NAMESPACE_URL, job.identity)
    bucket, key = split_uri(f"{where}{job.created:%Y/%m/%d/%H}/{identity}.json")
    manifest = json.dumps([{"prefix": prefix}, *names])
    store.put(bucket, key, io.BytesIO(manifest.encode()), content_type="application/json")


def _common_prefix(objects: Iterable[InputObject]) -> str:
    """The longest folder that all of them lie in."""
    uris = [one.uri for one in objects]
    low, high = min(uris), max(uris)
    same = next(
        (at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b),
        min(len(low), len(high)),
    )
    return low[: low.rfind("/", 0, same) + 1]


def _folder(uri: str) -> str:
    return uri.rstrip("/") + "/"
