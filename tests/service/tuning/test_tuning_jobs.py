"""Whole tuning jobs through boto3, from their creation to their end."""

from __future__ import annotations

import json
import re

from tests.service.tuning.conftest import Tuning, configuration, definition


def test_a_tuning_job_finds_the_best_of_its_trials(tuning: Tuning) -> None:
    tags = [{"Key": "team", "Value": "vision"}]
    arn = tuning.create("bowl", configuration(5), definition("bowl"), Tags=tags)
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/bowl"
    job = tuning.wait("bowl")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 5,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 5, "Pending": 0, "Failed": 0}
    trials = tuning.trials("bowl")
    values = []
    for number, trial in enumerate(trials, 1):
        assert re.fullmatch(rf"bowl-{number:03d}-[0-9a-f]{{8}}", trial["TrainingJobName"])
        x = float(trial["TunedHyperParameters"]["x"])
        metric = trial["FinalHyperParameterTuningJobObjectiveMetric"]
        assert metric == {"Type": "Minimize", "MetricName": "objective", "Value": metric["Value"]}
        assert abs(metric["Value"] - (x - 3) ** 2) < 1e-4
        values.append(metric["Value"])
    best = job["BestTrainingJob"]
    assert best == trials[values.index(min(values))]
    assert tuning.client.list_tags(ResourceArn=arn)["Tags"] == tags

    child = tuning.client.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert child["TuningJobArn"] == arn
    assert child["HyperParameters"]["_tuning_objective_metric"] == json.dumps("objective")
    assert child["HyperParameters"]["x"] == best["TunedHyperParameters"]["x"]
    assert child["FinalMetricDataList"][0]["MetricName"] == "objective"
    assert tuning.client.list_tags(ResourceArn=child["TrainingJobArn"])["Tags"] == tags

    by_value = tuning.trials("bowl", SortBy="FinalObjectiveMetricValue", MaxResults=2)
    assert [one["TrainingJobName"] for one in by_value] == [
        trials[values.index(value)]["TrainingJobName"] for value in sorted(values)
    ]
