"""What a tuning notebook with the SageMaker SDK, version 2, does."""

import json
import os
import sys
import time

import sagemaker
from sagemaker.pytorch import PyTorch
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner

script, data, hyperparameters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

session = sagemaker.Session()
role = sagemaker.get_execution_role()
inputs = session.upload_data(path=data, bucket=session.default_bucket(), key_prefix="data")
settings = {
    "entry_point": os.path.basename(script),
    "source_dir": os.path.dirname(script),
    "role": role,
    "instance_count": 1,
    "instance_type": "ml.m5.xlarge",
    "framework_version": "1.12",
    "py_version": "py38",
}
estimator = PyTorch(base_job_name="tuned", hyperparameters=hyperparameters, **settings)
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="average test loss",
    objective_type="Minimize",
    hyperparameter_ranges={
        "lr": ContinuousParameter(0.001, 0.1),
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
tuner.fit({"training": inputs})
seconds = time.monotonic() - began

best = tuner.best_estimator()
found = best.hyperparameters()
frame = tuner.analytics().dataframe()
name = tuner.latest_tuning_job.job_name
attached = HyperparameterTuner.attach(name)
description = tuner.describe()

# What notebooks do next: train once more with the best values, quotes and all.
again = PyTorch(
    base_job_name="again",
    hyperparameters={
        "lr": float(found["lr"]),
        "batch_size": int(found["batch_size"].strip('"')),
        **hyperparameters,
    },
    **settings,
)
again.fit({"training": inputs}, wait=True)
whole = PyTorch(base_job_name="whole", hyperparameters=found, **settings)
whole.fit({"training": inputs}, wait=True, logs=False)
print()
print(
    "RESULT",
    json.dumps(
        {
            "seconds": seconds,
            "name": name,
            "status": description["HyperParameterTuningJobStatus"],
            "counters": description["TrainingJobStatusCounters"],
            "objectives": description["ObjectiveStatusCounters"],
            "hyperparameters": found,
            "best": tuner.best_training_job(),
            "model_data": best.model_data,
            "columns": sorted(frame.columns),
            "losses": dict(zip(frame["TrainingJobName"], frame["FinalObjectiveValue"])),
            "rates": list(frame["lr"]),
            "elapsed": list(frame["TrainingElapsedTimeSeconds"]),
            "ranges": tuner.analytics().tuning_ranges,
            "attached_best": attached.best_training_job(),
            "attached_ranges": [r["Name"] for kind in attached.hyperparameter_ranges().values() for r in kind],
            "again": again.jobs[-1].describe()["TrainingJobStatus"],
            "whole": whole.jobs[-1].describe()["TrainingJobStatus"],
        },
        default=str,
    ),
)
