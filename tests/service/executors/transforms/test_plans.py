"""What hosts are told, and what is stored of what they leave."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.errors import ClaryError
from clary.formats.job_directory import JobDirectory
from clary.formats.transform_plan import TransformPlan, output_file, read_objects
from clary.object_store.store import ObjectStore
from clary.service.executors.transform_executor import TransformSpec
from clary.service.executors.transforms.plans import input_objects, transform_plan, write_plans
from clary.service.executors.transforms.results import store_outputs

BUCKET = "bench"
CREATED_MS = 1_795_312_000_000  # 2026-11-22T01:46:40Z


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path / "buckets")
    store.create_bucket(BUCKET)
    yield store
    store.close()


def put(store: ObjectStore, *keys: str) -> None:
    for key in keys:
        store.put(BUCKET, key, io.BytesIO(key.encode()))


def job(folder: Path, *, hosts: int = 1, source: str = "in/", **changes: Any) -> TransformSpec:
    data = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{source}"}
    data.update(changes.pop("source_is", {}))
    return TransformSpec(
        name="job",
        arn="arn:aws:sagemaker:us-east-1:000000000000:transform-job/job",
        request={
            "ModelName": "model",
            "TransformInput": {"DataSource": {"S3DataSource": data}, **changes.pop("input", {})},
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out", **changes.pop("output", {})},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": hosts},
            **changes,
        },
        model={"PrimaryContainer": {"Environment": {"A": "model's", "B": "model's"}}},
        directory=JobDirectory(folder / "job"),
        environment={},
        created_ms=CREATED_MS,
    )


def test_what_is_not_asked_for_is_as_sagemaker_has_it(tmp_path: Path) -> None:
    assert transform_plan(job(tmp_path)) == TransformPlan(job="job")


def test_what_is_asked_for_is_told(tmp_path: Path) -> None:
    plan = transform_plan(
        job(
            tmp_path,
            input={"ContentType": "text/csv", "SplitType": "Line", "CompressionType": "Gzip"},
            output={"Accept": "text/csv", "AssembleWith": "Line"},
            BatchStrategy="SingleRecord",
            MaxPayloadInMB=0,
            MaxConcurrentTransforms=3,
            ModelClientConfig={"InvocationsTimeoutInSeconds": 7, "InvocationsMaxRetries": 0},
            DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input"},
            DataCaptureConfig={"DestinationS3Uri": "s3://x/y", "GenerateInferenceId": True},
        )
    )
    assert plan == TransformPlan(
        job="job",
        content_type="text/csv",
        accept="text/csv",
        split="Line",
        gzip=True,
        several_records=False,
        max_payload_bytes=None,
        concurrent=3,
        timeout_s=7,
        retries=0,
        lines=True,
        input_filter="$[1:]",
        join=True,
        ids_at="2026-11-22T01:46:40Z",
    )


def test_the_job_s_environment_comes_over_the_model_s(tmp_path: Path) -> None:
    spec = job(tmp_path, Environment={"B": "job's"}, BatchStrategy="SingleRecord", MaxPayloadInMB=2)
    asked = spec.source.asked
    assert (asked["A"], asked["B"]) == ("model's", "job's")
    assert asked["SAGEMAKER_BATCH"] == "True"
    assert asked["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
    assert asked["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "2"


def test_objects_go_to_hosts_in_turns(store: ObjectStore, tmp_path: Path) -> None:
    put(store, "in/a", "in/deep/b", "in/c", "in/folder/", "other")
    spec = job(tmp_path, hosts=2)
    write_plans(spec, store)
    assert len({*spec.instances}) == 2
    assert all(one.startswith("i-") and len(one) == 19 for one in spec.instances)
    told = [[one.name for one in read_objects(folder)] for folder in spec.hosts]
    assert told == [["a", "deep/b"], ["c"]]
    assert [TransformPlan.read(folder).job for folder in spec.hosts] == ["job", "job"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("in/deep/b", ["b"]),
        ("in/deep", ["b"]),
        ("in", ["a", "deep/b"]),
        ("", ["in/a", "in/deep/b"]),
    ],
)
def test_what_a_prefix_means(
    store: ObjectStore, tmp_path: Path, source: str, names: list[str]
) -> None:
    put(store, "in/a", "in/deep/b")
    found = input_objects(job(tmp_path, source=source), store)
    assert [one.name for one in found] == names
    assert {one.uri for one in found} <= {f"s3://{BUCKET}/in/a", f"s3://{BUCKET}/in/deep/b"}


def test_a_manifest_names_objects_once_each(store: ObjectStore, tmp_path: Path) -> None:
    put(store, "in/a", "in/b")
    manifest = [{"prefix": f"s3://{BUCKET}/in/"}, "b", "a"]
    spec = job(tmp_path, source="list.json", source_is={"S3DataType": "ManifestFile"})
    store.put(BUCKET, "list.json", io.BytesIO(json.dumps(manifest).encode()))
    assert [one.name for one in input_objects(spec, store)] == ["b", "a"]
    store.put(BUCKET, "list.json", io.BytesIO(json.dumps([*manifest, "b"]).encode()))
    with pytest.raises(ClaryError, match="names 'b' 2 times"):
        input_objects(spec, store)


def test_where_nothing_lies_there_is_nothing_to_transform(
    store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(ClaryError, match="ClientError: No S3 objects found"):
        input_objects(job(tmp_path), store)


def test_outputs_are_stored_as_often_as_one_likes(store: ObjectStore, tmp_path: Path) -> None:
    put(store, "in/a", "in/deep/b", "in/c")
    capture = {"DestinationS3Uri": f"s3://{BUCKET}/captured/"}
    spec = job(tmp_path, hosts=2, output={"Accept": "text/csv"}, DataCaptureConfig=capture)
    write_plans(spec, store)
    for folder, number, text in ((spec.hosts[0], 0, "A"), (spec.hosts[1], 0, "C")):
        output_file(folder, number).parent.mkdir(parents=True, exist_ok=True)
        output_file(folder, number).write_text(text)
    for _ in range(2):
        store_outputs(spec, store)
        assert [one.key for one in store.iterate(BUCKET, "out/")] == ["out/a.out", "out/c.out"]
        info = store.info(BUCKET, "out/c.out")
        assert info.path.read_text() == "C"
        captured = [one.key for one in store.iterate(BUCKET, "captured/")]
        assert len(captured) == 2
    contents = [json.loads(store.info(BUCKET, key).path.read_text()) for key in captured]
    assert captured[0].startswith("captured/input/2026/11/22/01/")
    assert captured[1].startswith("captured/output/2026/11/22/01/")
    assert contents == [
        [{"prefix": f"s3://{BUCKET}/in/"}, "a", "c"],
        [{"prefix": f"s3://{BUCKET}/out/"}, "a.out", "c.out"],
    ]


def test_a_bucket_that_is_missing_is_named(store: ObjectStore, tmp_path: Path) -> None:
    put(store, "in/a")
    spec = job(tmp_path, output={"S3OutputPath": "s3://nowhere/out"})
    write_plans(spec, store)
    output_file(spec.hosts[0], 0).parent.mkdir(parents=True)
    output_file(spec.hosts[0], 0).write_text("A")
    with pytest.raises(ClaryError, match="nowhere"):
        store_outputs(spec, store)
