"""Batch transform with the SageMaker SDK, version 2: a folder of photos, and lines of JSON."""

import json
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker.inputs import BatchDataCaptureConfig
from sagemaker.pytorch import PyTorch, PyTorchModel
from sagemaker.transformer import Transformer

source, data = sys.argv[1], sys.argv[2]

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
inputs = session.upload_data(path=data, bucket=bucket, key_prefix="data")
s3, api = boto3.client("s3"), boto3.client("sagemaker")
framework = {"framework_version": "1.12", "py_version": "py38"}
estimator = PyTorch(
    entry_point="train_model.py",
    source_dir=source,
    role=role,
    instance_count=1,
    instance_type="ml.m5.xlarge",
    **framework,
)
estimator.fit({"training": inputs}, wait=True)
result = {}


def lines_of(uri):
    place, _, key = uri.removeprefix("s3://").partition("/")
    return s3.get_object(Bucket=place, Key=key)["Body"].read().decode().splitlines()


# A folder of photos through a script of one's own.
model = PyTorchModel(
    model_data=estimator.model_data,
    role=role,
    entry_point="inference.py",
    source_dir=source,
    **framework,
)
transformer = model.transformer(
    instance_count=1,
    instance_type="ml.m5.xlarge",
    output_path=f"s3://{bucket}/photos",
    accept="application/json",
    max_concurrent_transforms=2,
)
began = time.monotonic()
transformer.transform(inputs, content_type="image/jpeg", wait=True, logs=True)
result["seconds"] = time.monotonic() - began
folders, right, count = sorted(Path(data).iterdir()), 0, 0
classes = [folder.name for folder in folders]
for name, folder in zip(classes, folders, strict=True):
    for photo in folder.iterdir():
        (line,) = lines_of(f"{transformer.output_path}/{name}/{photo.name}.out")
        right += classes[int(np.argmax(json.loads(line)[0]))] == name
        count += 1
result["right"] = right / count

# Lines of JSON through the training script, with what was asked beside the answer.
pictures = [{"id": n, "picture": np.full((1, 3, 4, 4), n / 4).tolist()} for n in range(4)]
s3.put_object(
    Bucket=bucket, Key="lines/all.jsonl", Body="\n".join(map(json.dumps, pictures)).encode()
)
lines = estimator.transformer(
    instance_count=1,
    instance_type="ml.m5.xlarge",
    strategy="SingleRecord",
    assemble_with="Line",
    accept="application/json",
    output_path=f"s3://{bucket}/answers",
    env={"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
    tags=[{"Key": "team", "Value": "dogs"}],
)
lines.transform(
    f"s3://{bucket}/lines/",
    content_type="application/json",
    split_type="Line",
    input_filter="$.picture",
    join_source="Input",
    output_filter="$['id','SageMakerOutput']",
    batch_data_capture_config=BatchDataCaptureConfig(
        destination_s3_uri=f"s3://{bucket}/captured", generate_inference_id=True
    ),
    wait=False,
)
name = lines.latest_transform_job.name
api.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=name)
joined = [json.loads(line) for line in lines_of(f"s3://{bucket}/answers/all.jsonl.out")]
result["ids"] = [one["id"] for one in joined]
result["numbers"] = sorted({len(one["SageMakerOutput"][0]) for one in joined})
result["given_ids"] = len({one["SageMakerInferenceId"] for one in joined})
captured = s3.list_objects_v2(Bucket=bucket, Prefix="captured/")["Contents"]
result["captured"] = sorted(one["Key"].split("/")[1] for one in captured)
attached = Transformer.attach(name)
result["attached"] = [attached.model_name == lines.model_name, attached.strategy]
result["tags"] = api.list_tags(
    ResourceArn=api.describe_transform_job(TransformJobName=name)["TransformJobArn"]
)["Tags"]

# What is no picture fails, and says where and why.
s3.put_object(Bucket=bucket, Key="bad/one.jpg", Body=b"no picture")
try:
    transformer.transform(f"s3://{bucket}/bad/", content_type="image/jpeg", logs=False)
except sagemaker.exceptions.UnexpectedStatusException as error:
    result["bad"] = [error.actual_status, str(error)]
result["listed"] = [
    one["TransformJobStatus"]
    for one in api.list_transform_jobs(SortBy="CreationTime", SortOrder="Ascending")[
        "TransformJobSummaries"
    ]
]
transformer.delete_model()
print("RESULT", json.dumps(result))
