"""What a notebook with the SageMaker SDK, version 2, does: session, upload, fit, attach, fetch."""

import json
import os
import sys
import tarfile
import time

import boto3
import sagemaker
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.pytorch import PyTorch
from sagemaker.s3 import S3Downloader

script, data, hyperparameters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
inputs = session.upload_data(path=data, bucket=bucket, key_prefix="data")

estimator = PyTorch(
    entry_point=os.path.basename(script),
    source_dir=os.path.dirname(script),
    base_job_name="fit",
    role=role,
    instance_count=1,
    instance_type="ml.m5.xlarge",
    framework_version="1.12",
    py_version="py38",
    hyperparameters=hyperparameters,
    metric_definitions=[{"Name": "test:loss", "Regex": r"Test set: Average loss: ([0-9\.]+)"}],
)
began = time.monotonic()
estimator.fit({"training": inputs}, wait=True)
seconds = time.monotonic() - began

name = estimator.latest_training_job.name
described = boto3.client("sagemaker").describe_training_job(TrainingJobName=name)
attached = PyTorch.attach(name)
S3Downloader.download(attached.model_data, "fetched")
with tarfile.open("fetched/model.tar.gz") as archive:
    files = sorted(archive.getnames())
frame = TrainingJobAnalytics(name, ["test:loss"]).dataframe() if "--analytics" in sys.argv else None
print()
print(
    "RESULT",
    json.dumps(
        {
            "role": role,
            "bucket": bucket,
            "inputs": inputs,
            "seconds": seconds,
            "name": name,
            "status": described["TrainingJobStatus"],
            "metrics": {m["MetricName"]: m["Value"] for m in described["FinalMetricDataList"]},
            "model_data": attached.model_data,
            "hyperparameters": attached.hyperparameters(),
            "files": files,
            "analytics": None if frame is None else len(frame),
        }
    ),
)
