"""What CreateTransformJob forbids beyond the service model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.errors import FormatError
from clary.formats.json_path import WHOLE, JsonPath
from clary.formats.transform_plan import bare_type, record_format
from clary.service.faults import validation
from clary.service.operations.model_checks import is_multi_model
from clary.service.operations.training_job_checks import HOST_LIMIT, duplicate_tags

# What SageMaker allows of MaxPayloadInMB, and of it times MaxConcurrentTransforms.
PAYLOAD_LIMIT_MB = 100
_FORMATS = "text/csv, application/json or application/jsonlines"


def check_transform_request(
    request: Mapping[str, Any], model: Mapping[str, Any], tags: Sequence[Mapping[str, str]]
) -> None:
    """Refuse a request that cannot become a job, with all that is wrong with it.

    Args:
        request: CreateTransformJob's parameters, without the tags.
        model: CreateModel's of the model.
        tags: the tags.

    Raises:
        Fault: a ValidationException.
    """
    found = [
        *_model(request, model),
        *_source(request),
        *_places(request),
        *_bounds(request),
        *_processing(request),
        *duplicate_tags(tags),
    ]
    if found:
        raise validation(" ".join(found))


def _model(request: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[str]:
    if is_multi_model(model):
        yield (
            f"Model {request['ModelName']!r} is a multi-model container, and a transform job has "
            "one model: create a model of the archive that is meant."
        )


def _source(request: Mapping[str, Any]) -> Iterator[str]:
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    kind = source["S3DataType"]
    if kind not in {"S3Prefix", "ManifestFile"}:
        yield f"S3DataType {kind} is not offered by Clary: use S3Prefix or ManifestFile."


def _places(request: Mapping[str, Any]) -> Iterator[str]:
    places = {
        "S3Uri": request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"],
        "S3OutputPath": request["TransformOutput"]["S3OutputPath"],
        "DestinationS3Uri": (request.get("DataCaptureConfig") or {}).get("DestinationS3Uri"),
    }
    for member, uri in places.items():
        if uri is not None and not uri.startswith("s3://"):
            yield f"{member} {uri!r} is not offered by Clary: give s3://bucket/prefix."


def _bounds(request: Mapping[str, Any]) -> Iterator[str]:
    payload = request.get("MaxPayloadInMB") or 0
    concurrent = request.get("MaxConcurrentTransforms") or 0
    if payload > PAYLOAD_LIMIT_MB:
        yield f"MaxPayloadInMB is {payload}, and at most {PAYLOAD_LIMIT_MB} is allowed."
    elif payload * concurrent > PAYLOAD_LIMIT_MB:
        yield (
            f"MaxConcurrentTransforms * MaxPayloadInMB is {payload * concurrent}, and at most "
            f"{PAYLOAD_LIMIT_MB} is allowed: lower one of them."
        )
    hosts = request["TransformResources"]["InstanceCount"]
    if hosts > HOST_LIMIT:
        yield (
            f"{hosts} instances are asked for, and a transform job on this machine has at most "
            f"{HOST_LIMIT}: lower InstanceCount."
        )


def _processing(request: Mapping[str, Any]) -> Iterator[str]:
    given, output = request["TransformInput"], request["TransformOutput"]
    processing = request.get("DataProcessing") or {}
    capture = request.get("DataCaptureConfig") or {}
    join = processing.get("JoinSource") == "Input"
    paths: dict[str, JsonPath] = {}
    for member in ("InputFilter", "OutputFilter"):
        try:
            paths[member] = JsonPath.parse(processing.get(member) or WHOLE)
        except FormatError as error:
            yield f"{member}: {error}."
    if len(paths) < 2:
        return
    reads = join or not paths["InputFilter"].is_whole
    writes = join or not paths["OutputFilter"].is_whole or capture.get("GenerateInferenceId", False)
    comes_in = record_format(given.get("ContentType"))
    goes_out = record_format(output.get("Accept") or given.get("ContentType"))
    if reads and comes_in is None:
        yield (
            f"ContentType {given.get('ContentType')!r} excludes InputFilter and JoinSource: they "
            f"need {_FORMATS}."
        )
    if writes and goes_out is None:
        yield (
            f"Accept {output.get('Accept')!r} excludes OutputFilter, JoinSource and "
            f"GenerateInferenceId: they need {_FORMATS}."
        )
    if join and comes_in and goes_out and comes_in != goes_out:
        yield (
            f"JoinSource Input needs the same format on both sides: ContentType is "
            f"{bare_type(given.get('ContentType'))} and Accept is {bare_type(output['Accept'])}."
        )
    split = given.get("SplitType", "None")
    if reads and (split in {"RecordIO", "TFRecord"} or (comes_in == "csv" and split != "Line")):
        yield f"SplitType {split} excludes InputFilter and JoinSource of {comes_in}: use Line."
    if (reads or writes) and split == "Line" and output.get("AssembleWith", "None") != "Line":
        yield "SplitType Line with DataProcessing needs AssembleWith Line, too."
    for member, form in (("InputFilter", comes_in), ("OutputFilter", goes_out)):
        if form == "csv" and not paths[member].selects_columns:
            yield (
                f"{member} {paths[member].text!r} cannot be applied to a row of CSV: use "
                "positions, such as $[1:]."
            )
