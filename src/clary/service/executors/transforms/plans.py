"""What each host of a transform job is told: how to transform, and which objects are its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clary.errors import ClaryError
from clary.formats.transform_plan import InputObject, TransformPlan, write_objects
from clary.service.executors.objects import located_objects
from clary.service.executors.transform_executor import TransformSpec

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

DEFAULT_TIMEOUT_S = 600
DEFAULT_RETRIES = 3


def write_plans(job: TransformSpec, store: ObjectStore) -> None:
    """Write what every host of a job is told; objects go to hosts in turns.

    Raises:
        ClaryError: there are no objects, or their list cannot be used.
        StorageError: a folder cannot be written.
    """
    plan = transform_plan(job)
    objects = input_objects(job, store)
    for number, folder in enumerate(job.hosts):
        write_objects(folder, objects[number :: len(job.hosts)])
        plan.write(folder)


def transform_plan(job: TransformSpec) -> TransformPlan:
    """How a job's objects become requests, and the answers become outputs."""
    request = job.request
    given: Mapping[str, Any] = request["TransformInput"]
    output: Mapping[str, Any] = request["TransformOutput"]
    processing: Mapping[str, Any] = request.get("DataProcessing") or {}
    client: Mapping[str, Any] = request.get("ModelClientConfig") or {}
    capture: Mapping[str, Any] = request.get("DataCaptureConfig") or {}
    return TransformPlan(
        job=job.name,
        content_type=given.get("ContentType"),
        accept=output.get("Accept"),
        split=given.get("SplitType", "None"),
        gzip=given.get("CompressionType") == "Gzip",
        several_records=request.get("BatchStrategy", "MultiRecord") == "MultiRecord",
        max_payload_bytes=job.payload_mb << 20 or None,
        concurrent=request.get("MaxConcurrentTransforms") or None,
        timeout_s=client.get("InvocationsTimeoutInSeconds", DEFAULT_TIMEOUT_S),
        retries=client.get("InvocationsMaxRetries", DEFAULT_RETRIES),
        lines=output.get("AssembleWith") == "Line",
        input_filter=processing.get("InputFilter") or "$",
        output_filter=processing.get("OutputFilter") or "$",
        join=processing.get("JoinSource") == "Input",
        ids_at=f"{job.created:%Y-%m-%dT%H:%M:%SZ}" if capture.get("GenerateInferenceId") else None,
    )


def input_objects(job: TransformSpec, store: ObjectStore) -> Sequence[InputObject]:
    """All objects of a job, in the order of their keys or of the manifest.

    Raises:
        ClaryError: there are none, or their list cannot be used.
    """
    source = job.request["TransformInput"]["DataSource"]["S3DataSource"]
    found = located_objects(store, source, job)
    ((twice, count),) = Counter(one.name for one in found).most_common(1)
    if count > 1:
        raise ClaryError(
            f"ClientError: {source['S3Uri']} names {twice!r} {count} times, and all would have the "
            "same output: name every object once"
        )
    return [InputObject(one.uri, str(one.path), one.name) for one in found]
