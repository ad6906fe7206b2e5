"""The profiler through boto3: what a job says of it, and how it is changed while the job runs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.clock import now_ms
from clary.formats.rule_request import RuleKind
from clary.service.requests.rule_configurations import Checker
from clary.service.requests.updates import NOTES, is_profiled
from clary.service.state.training_jobs import TrialOf
from clary.service.supervisor.transitions import submitted
from tests.service.operations.conftest import ROLE, Bench, CreateJob
from tests.service.supervisor.rules.rule_jobs import custom_rule, profiler_rule, rule
from tests.waiting import until

PROFILE = {"S3OutputPath": "s3://bucket/profile"}
REPORT = profiler_rule("ProfilerReport")


def describe(bench: Bench, name: str) -> dict[str, Any]:
    return dict(bench.client("sagemaker").describe_training_job(TrainingJobName=name))


def update(bench: Bench, name: str, **changes: Any) -> None:
    bench.client("sagemaker").update_training_job(TrainingJobName=name, **changes)


def statuses(bench: Bench, name: str, kind: str = "Profiler") -> dict[str, str]:
    rows = describe(bench, name)[f"{kind}RuleEvaluationStatuses"]
    return {one["RuleConfigurationName"]: one["RuleEvaluationStatus"] for one in rows}


def checkers(bench: Bench, name: str, kind: RuleKind) -> list[Checker]:
    job = bench.state.training_jobs.find(name)
    assert job is not None
    return [one for one in bench.spec(name).checkers if one.kind == kind]


def fault(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def test_rules_of_both_kinds_are_told_apart(bench: Bench, create_job: CreateJob) -> None:
    create_job(
        "both",
        DebugRuleConfigurations=[rule("gradients")],
        ProfilerConfig=PROFILE,
        ProfilerRuleConfigurations=[REPORT, profiler_rule("steps", "StepOutlier", stddev="4")],
    )
    bench.reach_rules("both")
    (debug,), (profiler,) = (checkers(bench, "both", kind) for kind in ("debug", "profiler"))
    assert (debug.folder.name, profiler.folder.name) == ("rules", "rules.profiler")
    assert statuses(bench, "both", "Debug") == {"gradients": "InProgress"}
    assert statuses(bench, "both") == {"ProfilerReport": "InProgress", "steps": "InProgress"}
    bench.executor.checkers.say(profiler, "steps", "IssuesFound", "12 steps were long")
    bench.finish("both")
    told = describe(bench, "both")
    assert told["TrainingJobStatus"] == "Completed"
    assert told["ProfilingStatus"] == "Enabled"
    rows = told["ProfilerRuleEvaluationStatuses"]
    assert [one["RuleEvaluationStatus"] for one in rows] == ["NoIssuesFound", "IssuesFound"]
    assert rows[1]["StatusDetails"] == "12 steps were long"
    arn = rows[0]["RuleEvaluationJobArn"]
    assert ":processing-job/both-profilerreport-" in arn
    described = bench.client("sagemaker").describe_processing_job(
        ProcessingJobName=arn.rpartition("/")[2]
    )
    assert described["Environment"]["rule_to_invoke"] == "ProfilerReport"
    (source,) = described["ProcessingInputs"]
    assert source["S3Input"]["S3Uri"] == "s3://bucket/profile/both/profiler-output"
    (output,) = described["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://bucket/out/both/rule-output/ProfilerReport"
    (found,) = bench.client("sagemaker").search(
        Resource="TrainingJob",
        SearchExpression={"Filters": [{"Name": "TrainingJobName", "Value": "both"}]},
    )["Results"]
    assert found["TrainingJob"]["ProfilerConfig"] == PROFILE


@pytest.mark.parametrize(
    ("asked", "config", "status"),
    [
        ({}, None, "Disabled"),
        ({"ProfilerConfig": {"DisableProfiler": True}}, {"DisableProfiler": True}, "Disabled"),
        ({"ProfilerConfig": {}}, {"S3OutputPath": "s3://bucket/out"}, "Enabled"),
        ({"ProfilerRuleConfigurations": [REPORT]}, {"S3OutputPath": "s3://bucket/out"}, "Enabled"),
        ({"ProfilerConfig": PROFILE}, PROFILE, "Enabled"),
    ],
)
def test_a_profile_goes_where_the_outputs_go_unless_it_is_told(
    bench: Bench, create_job: CreateJob, asked: dict[str, Any], config: Any, status: str
) -> None:
    name = f"default-{abs(hash(str(asked)))}"
    create_job(name, **asked)
    told = describe(bench, name)
    assert told.get("ProfilerConfig") == config
    assert told["ProfilingStatus"] == status
    bench.finish(name)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"ProfilerConfig": {"ProfilingIntervalInMilliseconds": 300}},
        "ProfilerConfig: ProfilingIntervalInMilliseconds is 300: give one of 100, 200, 500",
    ),
    (
        {"ProfilerConfig": {"ProfilingParameters": {"DetailedProfilingConfig": "5"}}},
        "ProfilerConfig: DetailedProfilingConfig is '5': give a JSON object",
    ),
    (
        {"ProfilerConfig": {"ProfilingParameters": {"LocalPath": "/opt/ml/output/p"}}},
        "LocalPath is /opt/ml/output/p, and Clary writes profiles to /opt/ml/output/profiler",
    ),
    ({"ProfilerConfig": {"S3OutputPath": "https://b/x"}}, "ProfilerConfig.S3OutputPath: "),
    (
        {
            "ProfilerConfig": {"DisableProfiler": True},
            "ProfilerRuleConfigurations": [REPORT],
        },
        "need a profile to judge, and ProfilerConfig has DisableProfiler true",
    ),
    (
        {"ProfilerRuleConfigurations": [profiler_rule("r", "VanishingGradient")]},
        "put it among DebugRuleConfigurations",
    ),
    (
        {"DebugRuleConfigurations": [profiler_rule("r", "CPUBottleneck")]},
        "CPUBottleneck is a rule of the profiler: put it into ProfilerRuleConfigurations",
    ),
    (
        {"ProfilerRuleConfigurations": [profiler_rule("r", "CPUBottleneck", patience="-1")]},
        "Rule configuration 'r': ",
    ),
    (
        {"ProfilerRuleConfigurations": [profiler_rule("r", "LowGpuUtilisation")]},
        "did you mean LowGPUUtilization?",
    ),
    (
        {"ProfilerRuleConfigurations": [custom_rule("own")]},
        "a rule of your own on a profile is not offered",
    ),
    (
        {"ProfilerRuleConfigurations": [{**REPORT, "RuleEvaluatorImage": "x/mine:1"}]},
        "RuleEvaluatorImage 'x/mine:1' is not offered by Clary: give sagemaker-debugger-rules for "
        "one of its rules.",
    ),
    (
        {"ProfilerRuleConfigurations": [REPORT, REPORT]},
        "'ProfilerReport' is used twice in ProfilerRuleConfigurations",
    ),
    (
        {
            "DebugRuleConfigurations": [rule("ProfilerReport")],
            "ProfilerRuleConfigurations": [REPORT],
        },
        "'ProfilerReport' is used in DebugRuleConfigurations and in ProfilerRuleConfigurations",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_cannot_be_profiled_is_refused(
    create_job: CreateJob, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as error:
        create_job("refused", **changes)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    assert message in error.value.response["Error"]["Message"]


def test_what_is_profiled_changes_while_the_job_runs(bench: Bench, create_job: CreateJob) -> None:
    create_job("changes", ProfilerConfig=PROFILE, ProfilerRuleConfigurations=[REPORT])
    bench.reach_rules("changes")
    update(bench, "changes", ProfilerConfig={"ProfilingIntervalInMilliseconds": 1000})
    until(
        lambda: any(
            seen["ProfilerConfig"].get("ProfilingIntervalInMilliseconds") == 1000
            for seen in bench.executor.configured
        )
    )
    parameters = {"DetailedProfilingConfig": '{"StartStep": 5, "NumSteps": 10, }'}
    update(bench, "changes", ProfilerConfig={"ProfilingParameters": parameters})
    assert describe(bench, "changes")["ProfilerConfig"] == {
        **PROFILE,
        "ProfilingIntervalInMilliseconds": 1000,
        "ProfilingParameters": parameters,
    }
    update(bench, "changes", ProfilerConfig={"ProfilingParameters": {}})
    assert describe(bench, "changes")["ProfilerConfig"]["ProfilingParameters"] == {}
    update(bench, "changes", ProfilerConfig={"DisableProfiler": True})
    until(lambda: not is_profiled(bench.executor.configured[-1]))
    assert describe(bench, "changes")["ProfilingStatus"] == "Disabled"
    until(lambda: statuses(bench, "changes") == {"ProfilerReport": "Stopped"})
    again = profiler_rule("again", "ProfilerReport")
    update(
        bench,
        "changes",
        ProfilerConfig={"DisableProfiler": False},
        ProfilerRuleConfigurations=[again],
    )
    assert describe(bench, "changes")["ProfilingStatus"] == "Enabled"
    bench.finish("changes")
    assert statuses(bench, "changes") == {"ProfilerReport": "Stopped", "again": "NoIssuesFound"}


def test_rules_that_come_later_have_processes_of_their_own(
    bench: Bench, create_job: CreateJob
) -> None:
    create_job("later")
    bench.reach("later", "Training")
    assert describe(bench, "later")["ProfilingStatus"] == "Disabled"
    update(bench, "later", ProfilerRuleConfigurations=[REPORT])
    told = describe(bench, "later")
    assert told["ProfilingStatus"] == "Enabled"
    assert told["ProfilerConfig"] == {"S3OutputPath": "s3://bucket/out"}
    update(bench, "later", ProfilerRuleConfigurations=[profiler_rule("steps", "StepOutlier")])
    assert describe(bench, "later")["ProfilerRuleConfigurations"] == [
        REPORT,
        profiler_rule("steps", "StepOutlier"),
    ]
    folders = [
        f"{one.folder.parent.name}/{one.folder.name}" for one in bench.spec("later").checkers
    ]
    assert folders == ["rules.profiler.added/ProfilerReport", "rules.profiler.added/steps"]
    bench.reach_rules("later")
    assert statuses(bench, "later") == {"ProfilerReport": "InProgress", "steps": "InProgress"}
    names = [
        one["RuleEvaluationJobArn"].rpartition("/")[2]
        for one in describe(bench, "later")["ProfilerRuleEvaluationStatuses"]
    ]
    bench.client("sagemaker").stop_processing_job(ProcessingJobName=names[1])
    bench.finish("later")
    assert statuses(bench, "later") == {"ProfilerReport": "NoIssuesFound", "steps": "Stopped"}


def test_rules_of_one_update_share_a_process(bench: Bench, create_job: CreateJob) -> None:
    create_job("shared", ProfilerConfig=PROFILE)
    bench.reach("shared", "Training")
    first = [REPORT, profiler_rule("steps", "StepOutlier")]
    second = [profiler_rule("disks", "IOBottleneck"), profiler_rule("cores", "CPUBottleneck")]
    update(bench, "shared", ProfilerRuleConfigurations=first)
    update(bench, "shared", ProfilerRuleConfigurations=second)
    bench.reach_rules("shared")
    found = {
        one.folder.name: [rule.configuration for rule in one.rules]
        for one in checkers(bench, "shared", "profiler")
    }
    assert found == {"ProfilerReport": ["ProfilerReport", "steps"], "disks": ["disks", "cores"]}
    told = describe(bench, "shared")
    assert told["ProfilerRuleConfigurations"] == first + second
    assert not told.keys() & NOTES
    bench.finish("shared")
    assert set(statuses(bench, "shared").values()) == {"NoIssuesFound"}


def test_a_place_is_given_until_something_is_profiled(bench: Bench, create_job: CreateJob) -> None:
    off, on = {"DisableProfiler": True}, {"DisableProfiler": False}
    create_job("moves", ProfilerConfig={**off, "S3OutputPath": "s3://bucket/never"})
    bench.reach_rules("moves")
    update(bench, "moves", ProfilerConfig={"S3OutputPath": "s3://bucket/neither"})
    update(bench, "moves", ProfilerConfig={**on, "S3OutputPath": "s3://bucket/here"})
    assert describe(bench, "moves")["ProfilerConfig"] == {**on, "S3OutputPath": "s3://bucket/here"}
    update(bench, "moves", ProfilerConfig=off)
    call = bench.client("sagemaker").update_training_job
    moved = {"S3OutputPath": "s3://bucket/there"}
    _, message = fault(call, TrainingJobName="moves", ProfilerConfig=moved)
    assert "is s3://bucket/here and cannot be changed to s3://bucket/there" in message
    bench.finish("moves")


def test_updates_that_cannot_be_are_refused_and_change_nothing(
    bench: Bench, create_job: CreateJob
) -> None:
    sagemaker = bench.client("sagemaker")
    create_job("stays", ProfilerConfig=PROFILE, ProfilerRuleConfigurations=[REPORT])
    bench.reach_rules("stays")
    before = describe(bench, "stays")

    def refusal(**changes: Any) -> tuple[str, str]:
        return fault(sagemaker.update_training_job, TrainingJobName="stays", **changes)

    code, message = refusal(ProfilerConfig={"S3OutputPath": "s3://other/profile"})
    assert code == "ValidationException"
    assert "is s3://bucket/profile and cannot be changed to s3://other/profile" in message
    assert "is 250" in refusal(ProfilerConfig={"ProfilingIntervalInMilliseconds": 250})[1]
    taken = "stays has a rule called 'ProfilerReport' already: give the new one another name."
    assert refusal(ProfilerRuleConfigurations=[REPORT])[1] == taken
    twice = [profiler_rule("r", "StepOutlier")] * 2
    assert "'r' is used twice in ProfilerRule" in refusal(ProfilerRuleConfigurations=twice)[1]
    wrong = [profiler_rule("r", "VanishingGradient")]
    assert "DebugRuleConfigurations" in refusal(ProfilerRuleConfigurations=wrong)[1]
    disabled = {"DisableProfiler": True}
    new = [profiler_rule("r", "StepOutlier")]
    message = refusal(ProfilerConfig=disabled, ProfilerRuleConfigurations=new)[1]
    assert "DisableProfiler true" in message
    many = [profiler_rule(f"r{number}", "StepOutlier") for number in range(20)]
    assert refusal(ProfilerRuleConfigurations=many)[0] == "ResourceLimitExceeded"
    after = describe(bench, "stays")
    before.pop("ResponseMetadata"), after.pop("ResponseMetadata")
    assert after == before
    bench.finish("stays")
    for changes in ({"ProfilerConfig": disabled}, {"ProfilerRuleConfigurations": new}):
        code, message = refusal(**changes)
        assert (code, "must be InProgress" in message) == ("ValidationException", True)
    assert fault(sagemaker.update_training_job, TrainingJobName="nobody", ProfilerConfig={})[0] == (
        "ResourceNotFound"
    )


def test_a_trial_that_shares_its_process_is_not_profiled(bench: Bench) -> None:
    request = {
        "TrainingJobName": "in-a-lane",
        "AlgorithmSpecification": {
            "TrainingImage": "clary/image-classification",
            "TrainingInputMode": "File",
        },
        "HyperParameters": {"model": "resnet18", "trainable_layers": "0"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "RoleArn": ROLE,
    }
    arn = "arn:aws:sagemaker:us-east-1:000000000000:"
    trial = TrialOf("tuning", f"{arn}hyper-parameter-tuning-job/tuning", 1, 1, None, {})
    made = submitted("in-a-lane", f"{arn}training-job/in-a-lane", request, now_ms(), trial)
    assert bench.state.create_training_job(made, {}) is None
    bench.supervisor.submit("in-a-lane")
    bench.reach("in-a-lane", "Training")
    update_job = bench.client("sagemaker").update_training_job
    code, message = fault(update_job, TrainingJobName="in-a-lane", ProfilerConfig=PROFILE)
    assert code == "ValidationException"
    assert message == (
        "in-a-lane trains beside other trials in one process, which cannot be profiled: give all "
        "trials a ProfilerConfig, as CLARY_PROFILER_CONFIG in their definition's Environment."
    )
    update(bench, "in-a-lane", ResourceConfig={"KeepAlivePeriodInSeconds": 60})
    assert describe(bench, "in-a-lane")["ProfilingStatus"] == "Disabled"
    bench.finish("in-a-lane")
