"""Ends before the end: of tuning jobs, by people and criteria; of trials, by the tuner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.tuning.conftest import HEAD, Tuning, configuration, definition

# The objective at each epoch; what is bad takes long.
EPOCHS = (
    HEAD
    + """
bad = arguments.kind.startswith("bad")
for epoch in range(1, 400 if bad else 7):
    print(f"epoch {epoch} objective={(1.0 if bad else 0.1) + 1 / epoch}", flush=True)
    time.sleep(0.01 if not bad else 0.25 if epoch < 9 else 60)
"""
)


def test_stopping_a_tuning_job_stops_its_trials_and_keeps_what_they_have(tuning: Tuning) -> None:
    tuning.create("endless", configuration(10), definition("endless"))

    def both_run(_: Any) -> bool:
        running = tuning.client.list_training_jobs(
            NameContains="endless-", StatusEquals="InProgress"
        )["TrainingJobSummaries"]
        told = [
            tuning.client.describe_training_job(TrainingJobName=one["TrainingJobName"])
            for one in running
        ]
        return len([one for one in told if one.get("FinalMetricDataList")]) == 2

    tuning.until("endless", both_run)
    name = {"HyperParameterTuningJobName": "endless"}
    trial = tuning.trials("endless")[0]["TrainingJobName"]
    for call, parameters in (
        (tuning.client.delete_hyper_parameter_tuning_job, name),
        (tuning.client.delete_training_job, {"TrainingJobName": trial}),
    ):
        with pytest.raises(ClientError) as error:
            call(**parameters)
        assert error.value.response["Error"]["Code"] == "ResourceInUse"
    tuning.client.stop_hyper_parameter_tuning_job(**name)
    tuning.client.stop_hyper_parameter_tuning_job(**name)
    job = tuning.wait("endless")
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2
    assert job["ObjectiveStatusCounters"]["Succeeded"] == 2
    assert job["HyperParameterTuningEndTime"] >= job["CreationTime"]
    with pytest.raises(ClientError, match="is in status Stopped"):
        tuning.client.stop_hyper_parameter_tuning_job(**name)
    tuning.client.delete_hyper_parameter_tuning_job(**name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        tuning.describe("endless")
    # Only the tuning job is gone, and its name may be given again, to one without trials.
    tuning.client.describe_training_job(TrainingJobName=trial)
    tuning.client.delete_training_job(TrainingJobName=trial)
    tuning.create("endless", configuration(1), definition("bowl"))
    assert tuning.wait("endless")["TrainingJobStatusCounters"]["Completed"] == 1


def test_a_target_ends_a_tuning_job_while_trials_run(tuning: Tuning, tmp_path: Path) -> None:
    # The good one waits until the other runs.
    script = (
        HEAD
        + """
mark = others[others.index("--mark") + 1]
if arguments.kind == "b":
    open(mark, "w").close()
    time.sleep(600)
while not os.path.exists(mark):
    time.sleep(0.02)
print("objective=1", flush=True)
"""
    )
    tuning.put("target", script)
    config = configuration(
        2,
        Strategy="Grid",
        ParameterRanges={"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}]},
        TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 1.0},
    )
    static = {"mark": json.dumps(str(tmp_path / "mark"))}
    tuning.create("target", config, definition("target", static=static))
    job = tuning.wait("target")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    counters = job["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["Stopped"]) == (1, 1)


def test_the_median_rule_stops_a_trial_that_keeps_its_objective(tuning: Tuning) -> None:
    tuning.put("epochs", EPOCHS)
    kinds = ["good1", "good2", "good3", "good4", "bad"]
    config = configuration(
        None,
        Strategy="Grid",
        TrainingJobEarlyStoppingType="Auto",
        ParameterRanges={"CategoricalParameterRanges": [{"Name": "kind", "Values": kinds}]},
    )
    tuning.create("median", config, definition("epochs"))
    job = tuning.wait("median")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    by_kind = {one["TunedHyperParameters"]["kind"]: one for one in tuning.trials("median")}
    assert {by_kind[kind]["TrainingJobStatus"] for kind in kinds[:4]} == {"Completed"}
    stopped = by_kind["bad"]
    assert stopped["TrainingJobStatus"] == "Stopped"
    assert stopped["ObjectiveStatus"] == "Succeeded"
    assert stopped["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] > 1
    told = tuning.client.describe_training_job(TrainingJobName=stopped["TrainingJobName"])
    last = told["SecondaryStatusTransitions"][-1]
    assert last["StatusMessage"] == "Training job stopped early by its hyperparameter tuning job"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    assert job["BestTrainingJob"]["TunedHyperParameters"]["kind"] != "bad"


def test_hyperband_stops_what_falls_behind_and_lets_others_end(tuning: Tuning) -> None:
    script = (
        HEAD
        + """
epochs = int(others[others.index("--epochs") + 1])
for epoch in range(1, epochs + 1):
    print(f"objective={arguments.x + 1 / epoch}", flush=True)
    time.sleep(120 if epoch == 2 and arguments.x > 5 else 0.02)
"""
    )
    tuning.put("hyperband", script)
    config = configuration(
        6,
        Strategy="Hyperband",
        StrategyConfig={"HyperbandStrategyConfig": {"MinResource": 2}},
        RandomSeed=3,
    )
    tuning.create("hyperband", config, definition("hyperband", static={"epochs": "8"}))
    job = tuning.wait("hyperband")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    counters = job["TrainingJobStatusCounters"]
    assert counters["Stopped"] >= 1
    assert counters["Completed"] >= 1
    assert counters["Stopped"] + counters["Completed"] == 6
    assert job["ObjectiveStatusCounters"]["Succeeded"] == 6
    # Who reaches the last epoch ends by itself, and its model is not cut off.
    assert job["BestTrainingJob"]["TrainingJobStatus"] == "Completed"
