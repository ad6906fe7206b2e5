"""Batch transform jobs from boto3 to the outputs in S3, with a real model server."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from clary.formats.converted_model import ConvertedModel
from clary.formats.model_archive import pack_model
from tests.endpoint.colours import (
    COLOURS,
    convert_colour_model,
    make_colour_model,
    picture_of,
)
from tests.service.transforms.conftest import (
    BUCKET,
    ROLE,
    Bench,
)


def test_lines_of_csv_in_order_with_what_they_were_asked_of(bench: Bench) -> None:
    rows = [f"id{n},{n},{n + 1}" for n in range(500)]
    bench.put("csv/a.csv", "\n".join(rows) + "\n")
    bench.put("csv/deep/b.csv", "x,1,1\n\ny,2,2")
    job = bench.run(
        "csv",
        f"s3://{BUCKET}/csv/",
        DataProcessing={
            "InputFilter": "$[1:]",
            "JoinSource": "Input",
            "OutputFilter": "$[0,-1]",
        },
        MaxConcurrentTransforms=4,
        BatchStrategy="SingleRecord",
        output={"Accept": "text/csv"},
    )
    assert job["TransformJobStatus"] == "Completed", (job, bench.log("csv"))
    assert job["TransformEndTime"] >= job["TransformStartTime"] >= job["CreationTime"]
    assert bench.keys("out/csv/") == ["out/csv/a.csv.out", "out/csv/deep/b.csv.out"]
    expected = "".join(f"id{n},{(2 * n + 1) * 2.0}\n" for n in range(500))
    assert bench.get("out/csv/a.csv.out") == expected
    assert bench.get("out/csv/deep/b.csv.out") == "x,4.0\ny,8.0\n"
    log = bench.log("csv")
    assert any("BatchStrategy=SINGLE_RECORD" in line for line in log)
    assert any(line.endswith("batch True SINGLE_RECORD") for line in log)
    metrics = bench.service.client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TransformJobs", MetricName="CPUUtilization"
    )["Metrics"]
    assert [one["Dimensions"][0]["Value"].split("/")[0] for one in metrics] == ["csv"]
    # What was brought for the job is gone; its log stays.
    folder = bench.service.settings.transforms_dir / "csv"
    assert {path.name for path in folder.glob("hosts/*/*")} == {"logs"}
    assert not (folder / "prepared").exists()


def test_a_bad_object_among_good_ones_on_two_instances(bench: Bench) -> None:
    for name, text in {"a": "1,2\n3,4\n", "b": "1,2\nthree,4\n", "c": "5,6"}.items():
        bench.put(f"packed/{name}.csv.gz", gzip.compress(text.encode()))
    capture = {"DestinationS3Uri": f"s3://{BUCKET}/captured", "GenerateInferenceId": True}
    job = bench.run(
        "packed",
        f"s3://{BUCKET}/packed/",
        input={"CompressionType": "Gzip"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 2},
        ModelClientConfig={"InvocationsMaxRetries": 1},
        DataCaptureConfig=capture,
    )
    assert job["TransformJobStatus"] == "Failed"
    reason = job["FailureReason"]
    assert reason.startswith("AlgorithmError: See job logs for more information: ")
    assert f"{BUCKET}/packed/b.csv.gz: the model has failed with status 500" in reason
    assert "could not convert string to float: 'three'" in reason
    assert bench.keys("out/packed/") == ["out/packed/a.csv.gz.out", "out/packed/c.csv.gz.out"]
    rows = [line.split(",") for line in bench.get("out/packed/a.csv.gz.out").splitlines()]
    assert [row[0] for row in rows] == ["6.0", "14.0"]
    assert len({row[1] for row in rows}) == 2
    assert {row[2] for row in rows} == {f"{job['CreationTime']:%Y-%m-%dT%H:%M:%SZ}"}
    captured = [json.loads(bench.get(key)) for key in bench.keys("captured/")]
    assert captured == [
        [{"prefix": f"s3://{BUCKET}/packed/"}, "a.csv.gz", "c.csv.gz"],
        [{"prefix": f"s3://{BUCKET}/out/packed/"}, "a.csv.gz.out", "c.csv.gz.out"],
    ]
    said = "\n".join(bench.log("packed"))
    assert f"{BUCKET}/packed/b.csv.gz: Bad HTTP status received from algorithm: 500" in said


def test_a_manifest_of_json_lines_with_an_environment_of_its_own(bench: Bench) -> None:
    bench.put("lines/one.jsonl", '{"id":"x","features":[1,2]}\n{"id":"y","features":[3]}\n')
    manifest = json.dumps([{"prefix": f"s3://{BUCKET}/lines/"}, "one.jsonl"])
    source = bench.put("manifest.json", manifest)
    given = {
        "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": source}},
        "ContentType": "application/json",
    }
    job = bench.run(
        "lines",
        source,
        input=given,
        output={"Accept": "application/json"},
        DataProcessing={
            "InputFilter": "$.features",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
        Environment={"SLOWLY": "0.01"},
    )
    assert job["TransformJobStatus"] == "Completed", (job, bench.log("lines"))
    assert bench.get("out/lines/one.jsonl.out").splitlines() == [
        '{"id":"x","SageMakerOutput":{"sum":6.0}}',
        '{"id":"y","SageMakerOutput":{"sum":6.0}}',
    ]


def test_a_job_is_stopped_while_it_works(bench: Bench) -> None:
    bench.put("slow/a.csv", "1,2\n" * 1000)
    bench.create(
        "slow", f"s3://{BUCKET}/slow/", Environment={"SLOWLY": "5"}, BatchStrategy="SingleRecord"
    )
    bench.wait_for_work("slow")
    bench.sagemaker.stop_transform_job(TransformJobName="slow")
    assert bench.wait("slow")["TransformJobStatus"] == "Stopped"
    assert bench.keys("out/slow/") == []


def test_what_is_not_there_is_said(bench: Bench) -> None:
    job = bench.run("missing", f"s3://{BUCKET}/nothing/")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: No S3 objects found under S3 URL")


def test_pictures_through_a_model_of_clary_s(bench: Bench, tmp_path: Path) -> None:
    folder = make_colour_model(tmp_path / "colours")
    convert_colour_model(ConvertedModel.of(folder, bench.service.settings.cache_dir))
    archive = tmp_path / "model.tar.gz"
    pack_model(folder, archive)
    uri = bench.put("models/colours/model.tar.gz", archive.read_bytes())
    bench.sagemaker.create_model(
        ModelName="colours",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "clary/image-classification", "ModelDataUrl": uri},
    )
    for number in range(20):
        bench.put(f"photos/{number:02}.png", picture_of(COLOURS[number % 3]))
    bench.put("photos/bad.png", b"this is no picture")
    job = bench.run(
        "photos",
        f"s3://{BUCKET}/photos/",
        ModelName="colours",
        input={"ContentType": "image/png", "SplitType": "None"},
        output={"AssembleWith": "None", "Accept": "application/json"},
    )
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        "ClientError: See job logs for more information: 1 of 21 objects failed, the first was "
        f"{BUCKET}/photos/bad.png: the model has refused a request with status 400"
    ), (job, bench.log("photos"))
    for number in range(20):
        (probabilities,) = json.loads(bench.get(f"out/photos/{number:02}.png.out"))
        assert probabilities.index(max(probabilities)) == number % 3
    assert len(bench.keys("out/photos/")) == 20
