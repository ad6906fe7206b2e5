"""What CreateModel cannot be asked for, beyond what the service model forbids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clary.errors import ClaryError
from clary.object_store.errors import InvalidKey, NoSuchBucket, NoSuchKey
from clary.service.executors.places import split_uri
from clary.service.executors.served_models import only_container
from clary.service.faults import validation
from clary.service.operations.training_job_checks import duplicate_tags

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"
_NOT_OFFERED: Mapping[str, str] = {
    "ModelPackageName": "give Image and ModelDataUrl instead",
    "InferenceSpecificationName": "give Image and ModelDataUrl instead",
    "AdditionalModelDataSources": "put everything into the one archive of ModelDataUrl",
}


def check_model_request(request: Mapping[str, Any], tags: Sequence[Mapping[str, str]]) -> None:
    """Check what CreateModel asks for.

    Args:
        request: its parameters, without the tags.
        tags: the tags.

    Raises:
        Fault: what is wrong with it, in one answer.
    """
    problems = [*_containers(request), *duplicate_tags(tags)]
    if problems:
        raise validation(" ".join(problems))


def check_model_data(store: ObjectStore, request: Mapping[str, Any]) -> None:
    """Check that the model's data is there, as SageMaker does before a model exists.

    Args:
        store: the buckets.
        request: CreateModel's parameters.

    Raises:
        Fault: there is no such object, or nothing under a prefix.
    """
    container = only_container(request)
    uri = container.get("ModelDataUrl")
    whole = True
    if uri is None:
        source = (container.get("ModelDataSource") or {}).get("S3DataSource")
        if source is None:
            return
        uri, whole = source["S3Uri"], source["S3DataType"] == "S3Object"
    # The archives of a model of many may come when they are there.
    if container.get("Mode") == "MultiModel":
        return
    if not _is_there(store, uri, whole=whole):
        raise validation(f"Could not find model data at {uri}.")


def is_multi_model(request: Mapping[str, Any]) -> bool:
    """Whether a model stands for many, of which each invocation names one.

    Args:
        request: CreateModel's parameters.
    """
    return only_container(request).get("Mode") == "MultiModel"


def _containers(request: Mapping[str, Any]) -> Iterator[str]:
    several = request.get("Containers")
    if several and "PrimaryContainer" in request:
        yield "Both PrimaryContainer and Containers are set: exactly one of them is allowed."
        return
    if several and len(several) > 1:
        yield (
            f"A pipeline of {len(several)} containers is not offered by Clary: give one container, "
            "and do in its input_fn and output_fn what comes before and after."
        )
        return
    if not several and "PrimaryContainer" not in request:
        yield "Either PrimaryContainer or Containers must be set."
        return
    yield from _container(only_container(request))


def _container(container: Mapping[str, Any]) -> Iterator[str]:
    for member, remedy in _NOT_OFFERED.items():
        if container.get(member):
            yield f"{member} is not offered by Clary: {remedy}."
            return
    if not container.get("Image"):
        yield "Image must be set in the container: a framework's, or clary/image-classification."
    url, source = container.get("ModelDataUrl"), container.get("ModelDataSource")
    if url is not None and source is not None:
        yield "Both ModelDataUrl and ModelDataSource are set: exactly one of them is allowed."
        return
    many = container.get("Mode") == "MultiModel"
    if url is not None:
        yield from _uri("ModelDataUrl", url)
    elif source is not None:
        yield from _source(source, many=many)
    elif many:
        yield "A container in mode MultiModel needs ModelDataUrl: the prefix of its archives."
    elif not str((container.get("Environment") or {}).get(SUBMIT_DIRECTORY, "")).startswith("s3:"):
        yield (
            "ModelDataUrl must be set: Clary does not run the container's image, only the code "
            f"that its model archive brings, or {SUBMIT_DIRECTORY} in its Environment."
        )
    if not many and "MultiModelConfig" in container:
        yield "MultiModelConfig needs Mode MultiModel."


def _source(source: Mapping[str, Any], *, many: bool) -> Iterator[str]:
    data = source.get("S3DataSource")
    if data is None:
        yield "S3DataSource must be set in ModelDataSource."
        return
    for member in ("HubAccessConfig", "ManifestS3Uri"):
        if member in data:
            yield f"{member} is not offered by Clary: give the model's own S3Uri."
    yield from _uri("S3Uri", data["S3Uri"])
    kind, compression = data["S3DataType"], data["CompressionType"]
    if many:
        if kind != "S3Prefix":
            yield f"A container in mode MultiModel needs S3DataType S3Prefix; it has {kind}."
    elif (kind, compression) not in {("S3Prefix", "None"), ("S3Object", "Gzip")}:
        yield (
            f"S3DataType {kind} with CompressionType {compression} is not offered by Clary: give "
            "S3Object with Gzip for an archive, or S3Prefix with None for a folder."
        )


def _uri(member: str, uri: str) -> Iterator[str]:
    try:
        split_uri(uri)
    except ClaryError as error:
        yield f"{member}: {error}."


def _is_there(store: ObjectStore, uri: str, *, whole: bool) -> bool:
    bucket, key = split_uri(uri)
    try:
        if whole:
            store.info(bucket, key)
            return True
        return bool(store.list(bucket, key, limit=1).objects)
    except (NoSuchBucket, NoSuchKey, InvalidKey):
        return False
