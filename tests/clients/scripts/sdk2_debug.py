"""What a notebook does with the debugger: rules, a hook, fit, the rules' summary, the tensors."""

import json
import os
import sys

import boto3
import sagemaker
from sagemaker.debugger import CollectionConfig, DebuggerHookConfig, Rule, rule_configs
from sagemaker.pytorch import PyTorch
from smdebug.core.modes import ModeKeys
from smdebug.trials import create_trial

script, hyperparameters = sys.argv[1], json.loads(sys.argv[2])

rules = [
    Rule.sagemaker(rule_configs.vanishing_gradient()),
    Rule.sagemaker(rule_configs.overfit()),
    Rule.sagemaker(rule_configs.overtraining()),
    Rule.sagemaker(rule_configs.poor_weight_initialization()),
    Rule.sagemaker(rule_configs.loss_not_decreasing()),
    Rule.custom(
        name="LossBelow",
        image_uri="503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rule-evaluator:latest",
        instance_type="ml.t3.medium",
        volume_size_in_gb=10,
        source=os.path.join(os.path.dirname(__file__), "custom_rule.py"),
        rule_to_invoke="LossBelow",
        rule_parameters={"threshold": "1.1"},
        collections_to_save=[CollectionConfig(name="losses")],
    ),
]
hook_config = DebuggerHookConfig(
    hook_parameters={"train.save_interval": "2", "eval.save_interval": "1"},
    collection_configs=[
        # The rules ask for losses themselves, every 500 steps.
        CollectionConfig(name="losses", parameters={"train.save_interval": "2", "eval.save_interval": "1"}),
        CollectionConfig(name="gradients", parameters={"save_interval": "5"}),
        CollectionConfig(name="relus", parameters={"include_regex": "relu_output", "reductions": "mean,abs_max"}),
    ],
)
estimator = PyTorch(
    entry_point=os.path.basename(script),
    source_dir=os.path.dirname(script),
    base_job_name="watched",
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.xlarge",
    framework_version="1.8",
    py_version="py36",
    hyperparameters=hyperparameters,
    rules=rules,
    debugger_hook_config=hook_config,
)
estimator.fit(wait=True)

job_name = estimator.latest_training_job.name
summary = estimator.latest_training_job.rule_job_summary()
for rule in summary:
    print(rule["RuleConfigurationName"], rule["RuleEvaluationStatus"], rule.get("StatusDetails", ""))

place = estimator.latest_job_debugger_artifacts_path()
trial = create_trial(place)
print(trial.tensor_names())


def get_data(trial, tname, mode):
    tensor = trial.tensor(tname)
    steps = tensor.steps(mode=mode)
    return steps, [tensor.value(s, mode=mode) for s in steps]


def plot_tensor(trial, tensor_name):
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    figure, axes = plt.subplots()
    for mode in (ModeKeys.TRAIN, ModeKeys.EVAL):
        axes.plot(*get_data(trial, tensor_name, mode), label=mode.name)
    axes.legend()
    figure.savefig("losses.png")
    return True


plotted = plot_tensor(trial, "CrossEntropyLoss_output_0")
train_steps, train_losses = get_data(trial, "CrossEntropyLoss_output_0", ModeKeys.TRAIN)
eval_steps, eval_losses = get_data(trial, "CrossEntropyLoss_output_0", ModeKeys.EVAL)
gradient = next(name for name in trial.tensor_names(collection="gradients") if name.endswith("weight"))
relu = next(iter(trial.tensor_names(collection="relus")), None)
job = boto3.client("sagemaker").describe_processing_job(
    ProcessingJobName=summary[0]["RuleEvaluationJobArn"].split("/")[-1]
)
averages = boto3.client("sagemaker-metrics").batch_get_metrics(
    MetricQueries=[
        {
            "ResourceArn": f"arn:aws:sagemaker:us-east-1:000000000000:experiment-trial-component/{job_name}-aws-training-job",
            "MetricName": "average_loss_EVAL",
            "MetricStat": "Last",
            "Period": "IterationNumber",
            "XAxisType": "IterationNumber",
        }
    ]
)["MetricQueryResults"][0]
print()
print(
    "RESULT",
    json.dumps(
        {
            "name": job_name,
            "place": place,
            "summary": {r["RuleConfigurationName"]: r["RuleEvaluationStatus"] for r in summary},
            "details": {r["RuleConfigurationName"]: r.get("StatusDetails", "") for r in summary},
            "names": trial.tensor_names(),
            "train": [train_steps, [float(v) for v in train_losses]],
            "eval": [eval_steps, [float(v) for v in eval_losses]],
            "gradient": [gradient, trial.tensor(gradient).steps(mode=ModeKeys.TRAIN), list(trial.tensor(gradient).value(0).shape)],
            "relu": relu and [relu, float(trial.tensor(relu).reduction_value(0, "max", abs=True))],
            "plotted": plotted,
            "averages": [averages["XAxisValues"], averages["MetricValues"]],
            "processing_job": job["ProcessingJobStatus"],
            "smdebug": sys.modules["smdebug"].__file__,
        }
    ),
)
