"""What a script with the SageMaker SDK, version 3, does to tune a ModelTrainer."""

import json
import os
import sys
import time

from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train.tuner import HyperparameterTuner

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
tuner = HyperparameterTuner(
    trainer,
    objective_metric_name="average test loss",
    objective_type="Minimize",
    hyperparameter_ranges={
        "lr": ContinuousParameter(0.001, 0.1, scaling_type="Logarithmic"),
        "batch_size": CategoricalParameter([16, 32, 64]),
    },
    metric_definitions=[
        {"Name": "average test loss", "Regex": r"Test set: Average loss: ([0-9\.]+)"}
    ],
    max_jobs=4,
    max_parallel_jobs=2,
    early_stopping_type="Auto",
)
began = time.monotonic()
tuner.tune([InputData(channel_name="training", data_source=inputs)], wait=True)
seconds = time.monotonic() - began
job = tuner.describe()
frame = tuner.analytics().dataframe()
print()
print(
    "RESULT",
    json.dumps(
        {
            "seconds": seconds,
            "name": job.hyper_parameter_tuning_job_name,
            "status": job.hyper_parameter_tuning_job_status,
            "objectives": job.objective_status_counters.model_dump(),
            "best": tuner.best_training_job(),
            "tuned": job.best_training_job.tuned_hyper_parameters,
            "losses": dict(zip(frame["TrainingJobName"], frame["FinalObjectiveValue"])),
        },
        default=str,
    ),
)
