"""What a script with the SageMaker SDK, version 3, does: ModelTrainer."""

import json
import os
import sys
import time

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train import ModelTrainer

script, data, hyperparameters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

session = Session()
inputs = session.upload_data(path=data, bucket=session.default_bucket(), key_prefix="data")
trainer = ModelTrainer(
    training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0.0-cpu-py310",
    sagemaker_session=session,
    role=get_execution_role(),
    base_job_name="trainer",
    source_code=SourceCode(
        source_dir=os.path.dirname(script), entry_script=os.path.basename(script)
    ),
    compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
    hyperparameters=hyperparameters,
)
began = time.monotonic()
trainer.train(
    input_data_config=[InputData(channel_name="training", data_source=inputs)], wait=True
)
job = trainer._latest_training_job
seconds = time.monotonic() - began
job.refresh()
events = boto3.client("logs").filter_log_events(
    logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job.training_job_name}/"
)["events"]
print()
print(
    "RESULT",
    json.dumps(
        {
            "seconds": seconds,
            "lines": [event["message"] for event in events],
            "name": job.training_job_name,
            "status": job.training_job_status,
            "model_data": job.model_artifacts.s3_model_artifacts,
        }
    ),
)
