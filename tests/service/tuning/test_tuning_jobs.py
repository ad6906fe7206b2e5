"""Whole tuning jobs through boto3, from their creation to their end."""

from __future__ import annotations

import json
import re

from tests.service.tuning.conftest import HEAD, Tuning, configuration, definition

KINDS = HEAD + 'print(f"objective={arguments.x + 10 * (arguments.kind == chr(98))}", flush=True)\n'


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


def test_a_grid_tries_every_combination_of_quoted_values_once(tuning: Tuning) -> None:
    kinds = ['"a"', '"b"']
    config = configuration(
        None,
        Strategy="Grid",
        HyperParameterTuningJobObjective={"Type": "Maximize", "MetricName": "objective"},
        ParameterRanges={
            "CategoricalParameterRanges": [
                {"Name": "kind", "Values": kinds},
                {"Name": "x", "Values": ["1", "2"]},
            ]
        },
    )
    tuning.put("kinds", KINDS)
    tuning.create("grid", config, definition("kinds"))
    job = tuning.wait("grid")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    limits = job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxNumberOfTrainingJobs"] == 4
    tuned = [trial["TunedHyperParameters"] for trial in tuning.trials("grid")]
    assert sorted((one["kind"], one["x"]) for one in tuned) == [
        (kind, x) for kind in kinds for x in ("1", "2")
    ]
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"kind": '"b"', "x": "2"}


def test_several_definitions_share_the_trials(tuning: Tuning) -> None:
    objective = {"Type": "Minimize", "MetricName": "objective"}
    high = {"IntegerParameterRanges": [{"Name": "x", "MinValue": "5", "MaxValue": "6"}]}
    low = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "2.9", "MaxValue": "3.1"}]}
    config = configuration(4)
    del config["HyperParameterTuningJobObjective"], config["ParameterRanges"]
    tuning.create(
        "several",
        config,
        [
            definition(
                "bowl", DefinitionName=name, TuningObjective=objective, HyperParameterRanges=ranges
            )
            for name, ranges in (("high", high), ("low", low))
        ],
    )
    job = tuning.wait("several")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    trials = tuning.trials("several")
    names = [trial["TrainingJobDefinitionName"] for trial in trials]
    assert sorted(names) == ["high", "high", "low", "low"]
    by_definition = {
        name: [
            trial["TunedHyperParameters"]["x"]
            for trial in trials
            if trial["TrainingJobDefinitionName"] == name
        ]
        for name in names
    }
    assert sorted(by_definition["high"]) == ["5", "6"]
    assert all(2.9 <= float(x) <= 3.1 for x in by_definition["low"])
    assert job["BestTrainingJob"]["TrainingJobDefinitionName"] == "low"


def test_trials_that_never_print_the_objective_fail_it_and_not_themselves(tuning: Tuning) -> None:
    tuning.put("silent", HEAD + 'print("nothing to see")\n')
    tuning.create("silent", configuration(2), definition("silent"))
    job = tuning.wait("silent")
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("All training jobs failed.")
    assert job["TrainingJobStatusCounters"]["Completed"] == 2
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 2}
    assert "BestTrainingJob" not in job
    for trial in tuning.trials("silent"):
        assert trial["TrainingJobStatus"] == "Completed"
        assert trial["ObjectiveStatus"] == "Failed"
        assert "FinalHyperParameterTuningJobObjectiveMetric" not in trial
    assert tuning.trials("silent", SortBy="FinalObjectiveMetricValue") == []


def test_five_failures_end_a_tuning_job_in_aws_s_words(tuning: Tuning) -> None:
    tuning.put("fails", HEAD + 'print("objective=1")\nsys.exit("no such file")\n')
    tuning.create("fails", configuration(20), definition("fails"))
    job = tuning.wait("fails")
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("No training job succeeded after 5 attempts.")
    counters = job["TrainingJobStatusCounters"]
    assert counters["NonRetryableError"] >= 5
    assert counters["InProgress"] == 0
    assert len(tuning.trials("fails")) <= 7
    failed = tuning.trials("fails", StatusEquals="Failed")
    # What a failed job printed is no objective.
    assert {trial["ObjectiveStatus"] for trial in failed} == {"Failed"}
    assert all("ExitCode 1" in trial["FailureReason"] for trial in failed)


def test_debugger_and_profiler_reach_the_trials_on_request(tuning: Tuning) -> None:
    hook = {"S3OutputPath": "s3://tuning/debug", "CollectionConfigurations": []}
    rules = [
        {
            "RuleConfigurationName": "overfit",
            "RuleEvaluatorImage": "sagemaker-debugger-rules",
            "RuleParameters": {"rule_to_invoke": "Overfit"},
        }
    ]
    profiler = {"ProfilingIntervalInMilliseconds": 500, "S3OutputPath": "s3://tuning/profile"}
    report = {**rules[0], "RuleConfigurationName": "report"}
    report["RuleParameters"] = {"rule_to_invoke": "ProfilerReport"}
    environment = {
        "CLARY_PROFILER_RULE_CONFIGURATIONS": json.dumps([report]),
        "CLARY_DEBUG_HOOK_CONFIG": json.dumps(hook),
        "CLARY_DEBUG_RULE_CONFIGURATIONS": json.dumps(rules),
        "CLARY_PROFILER_CONFIG": json.dumps(profiler),
        "MODE": "quick",
    }
    checkpoints = {"S3Uri": "s3://tuning/checkpoints/"}
    training = definition("bowl", Environment=environment, CheckpointConfig=checkpoints)
    tuning.create("watched", configuration(1), training)
    best = tuning.wait("watched")["BestTrainingJob"]["TrainingJobName"]
    child = tuning.client.describe_training_job(TrainingJobName=best)
    assert child["DebugHookConfig"] == hook
    assert child["DebugRuleConfigurations"] == rules
    (standing,) = child["DebugRuleEvaluationStatuses"]
    # The script saves no tensors, and the rule says so.
    assert standing["RuleEvaluationStatus"] == "Error"
    assert standing["StatusDetails"].startswith("Overfit could not judge: ")
    assert child["ProfilerConfig"] == profiler
    assert child["ProfilingStatus"] == "Enabled"
    (standing,) = child["ProfilerRuleEvaluationStatuses"]
    assert standing["RuleEvaluationStatus"] == "NoIssuesFound"
    bucket, _, folder = child["OutputDataConfig"]["S3OutputPath"].strip("/")[5:].partition("/")
    prefix = f"{folder}/{best}/rule-output/".lstrip("/")
    stored = tuning.service.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    assert len([one for one in stored if "/report/profiler-output/" in one["Key"]]) == 13
    assert child["Environment"] == {"MODE": "quick"}
    # A folder for each trial: none goes on from another's checkpoint.
    assert child["CheckpointConfig"] == {"S3Uri": f"s3://tuning/checkpoints/{best}"}
