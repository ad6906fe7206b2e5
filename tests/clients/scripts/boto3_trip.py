"""What a script with nothing but boto3 does: buckets, a job, its log, its metrics, its artifacts."""

import io
import json
import sys
import tarfile
import time

import boto3

script = sys.argv[1]

account = boto3.client("sts").get_caller_identity()["Account"]
role = boto3.client("iam").get_role(RoleName="ClaryRole")["Role"]["Arn"]
s3 = boto3.client("s3")
bucket = "somebodys-bucket-123"
s3.create_bucket(Bucket=bucket)
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w:gz") as tar:
    tar.add(script, arcname="script.py")
s3.put_object(Bucket=bucket, Key="code/sourcedir.tar.gz", Body=archive.getvalue())

sagemaker = boto3.client("sagemaker")
name = "plain-boto3"
sagemaker.create_training_job(
    TrainingJobName=name,
    RoleArn=role,
    AlgorithmSpecification={
        "TrainingImage": f"{account}.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": "Average loss: ([0-9.]+)"}],
    },
    HyperParameters={
        "sagemaker_program": "script.py",
        "sagemaker_submit_directory": f"s3://{bucket}/code/sourcedir.tar.gz",
        "lr": "0.5",
        "mode": '"quoted"',
    },
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
    ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    StoppingCondition={"MaxRuntimeInSeconds": 600},
)
sagemaker.get_waiter("training_job_completed_or_stopped").wait(
    TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
)
described = sagemaker.describe_training_job(TrainingJobName=name)

logs = boto3.client("logs")
streams = logs.describe_log_streams(
    logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
)["logStreams"]
events = logs.get_log_events(
    logGroupName="/aws/sagemaker/TrainingJobs",
    logStreamName=streams[0]["logStreamName"],
    startFromHead=True,
)["events"]
location = described["ModelArtifacts"]["S3ModelArtifacts"]
key = location.split(f"s3://{bucket}/")[1]
packed = io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
with tarfile.open(fileobj=packed) as tar:
    weights = tar.extractfile("weights.txt").read().decode()
points = boto3.client("cloudwatch").get_metric_statistics(
    Namespace="/aws/sagemaker/TrainingJobs",
    MetricName="loss",
    Dimensions=[{"Name": "TrainingJobName", "Value": name}],
    StartTime=described["CreationTime"],
    EndTime=time.time() + 60,
    Period=60,
    Statistics=["Average", "Minimum"],
)["Datapoints"]
print(
    "RESULT",
    json.dumps(
        {
            "status": described["TrainingJobStatus"],
            "metrics": {m["MetricName"]: m["Value"] for m in described["FinalMetricDataList"]},
            "lines": [event["message"] for event in events],
            "weights": weights,
            "minimum": min(point["Minimum"] for point in points),
        }
    ),
)
