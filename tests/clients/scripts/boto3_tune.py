"""What a script with nothing but boto3 does to tune: a search, and a grid with early stopping."""

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


def definition(**static):
    return {
        "StaticHyperParameters": {
            "sagemaker_program": "script.py",
            "sagemaker_submit_directory": f"s3://{bucket}/code/sourcedir.tar.gz",
            **static,
        },
        "AlgorithmSpecification": {
            "TrainingImage": f"{account}.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "Average loss: ([0-9.]+)"}],
        },
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def tune(name, config, **static):
    created = sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            **config,
        },
        TrainingJobDefinition=definition(**static),
        Tags=[{"Key": "team", "Value": "dogs"}],
    )
    while True:
        described = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"):
            break
        time.sleep(0.5)
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name,
        SortBy="FinalObjectiveMetricValue",
        SortOrder="Ascending",
        PaginationConfig={"PageSize": 2},
    )
    children = [child for page in pages for child in page["TrainingJobSummaries"]]
    assert created["HyperParameterTuningJobArn"] == described["HyperParameterTuningJobArn"]
    return described, children


def told(described, children):
    return {
        "status": described["HyperParameterTuningJobStatus"],
        "counters": described["TrainingJobStatusCounters"],
        "objectives": described["ObjectiveStatusCounters"],
        "best": described["BestTrainingJob"]["TrainingJobName"],
        "children": [
            {
                "name": child["TrainingJobName"],
                "status": child["TrainingJobStatus"],
                "tuned": child["TunedHyperParameters"],
                "loss": child["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
                "objective": child["ObjectiveStatus"],
            }
            for child in children
        ],
    }


described, children = tune(
    "search",
    {
        "Strategy": "Random",
        "RandomSeed": 7,
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {
                    "Name": "lr",
                    "MinValue": "0.001",
                    "MaxValue": "0.1",
                    "ScalingType": "Logarithmic",
                }
            ],
            "IntegerParameterRanges": [{"Name": "batch_size", "MinValue": "16", "MaxValue": "64"}],
        },
    },
)
search = told(described, children)
best = sagemaker.describe_training_job(TrainingJobName=search["best"])
arn = described["HyperParameterTuningJobArn"]
listed = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="sear")

early_config = {
    "Strategy": "Grid",
    "TrainingJobEarlyStoppingType": "Auto",
    "ResourceLimits": {"MaxParallelTrainingJobs": 1},
    "ParameterRanges": {
        "CategoricalParameterRanges": [
            {"Name": "lr", "Values": ["0.01", "0.0101", "0.0102", "0.0103", "0.0104", "100"]}
        ]
    },
}
early = told(*tune("grid", early_config, epochs="40"))
stopped = [child for child in early["children"] if child["status"] == "Stopped"]
events = boto3.client("logs").filter_log_events(
    logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{stopped[0]['name']}/"
)["events"]
print(
    "RESULT",
    json.dumps(
        {
            "search": search,
            "hyperparameters": best["HyperParameters"],
            "tuning_job": best["TuningJobArn"] == arn,
            "tags": sagemaker.list_tags(ResourceArn=arn)["Tags"],
            "listed": [job["HyperParameterTuningJobName"] for job in listed["HyperParameterTuningJobSummaries"]],
            "early": early,
            "epochs": sum("Test set" in event["message"] for event in events),
        }
    ),
)
