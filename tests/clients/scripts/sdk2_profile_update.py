"""What a notebook does with the profiler of a job that runs: another interval, off, on again."""

import json
import os
import sys
import time

import boto3
import sagemaker
from sagemaker.debugger import FrameworkProfile, ProfilerConfig, ProfilerRule, rule_configs
from sagemaker.pytorch import PyTorch
from smdebug.profiler.analysis.notebook_utils.training_job import TrainingJob

script, hyperparameters = sys.argv[1], json.loads(sys.argv[2])
estimator = PyTorch(
    entry_point=os.path.basename(script),
    source_dir=os.path.dirname(script),
    base_job_name="changed",
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.xlarge",
    framework_version="1.8",
    py_version="py36",
    hyperparameters=hyperparameters,
    debugger_hook_config=False,
    profiler_config=ProfilerConfig(system_monitor_interval_millis=1000),
)
estimator.fit(wait=False)
name = estimator.latest_training_job.name
job = TrainingJob(name)
job.wait_for_sys_profiling_data_to_be_available()
reader = job.get_systems_metrics_reader()


def moments(since=0.0):
    reader.refresh_event_file_list()
    events = reader.get_events(since * 1e6, 4e15)
    return sorted({one.timestamp for one in events if one.dimension == "CPUUtilization"})


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.5)
    return False


found = {"name": name, "before": job.describe_training_job()["ProfilerConfig"]}

estimator.update_profiler(
    system_monitor_interval_millis=100,
    framework_profile_params=FrameworkProfile(num_steps=5),
    rules=[ProfilerRule.sagemaker(rule_configs.ProfilerReport(), name="AddedReport")],
)
changed = time.time()
found["faster"] = wait_for(lambda: len(moments(changed)) > 40)
found["changed"] = job.describe_training_job()["ProfilerConfig"]

estimator.disable_profiling()
found["disabled"] = job.describe_training_job()["ProfilingStatus"]


def is_quiet():
    before = moments()
    time.sleep(3)
    return moments() == before


found["quiet"] = wait_for(is_quiet)

estimator.enable_default_profiling()
found["enabled"] = job.describe_training_job()["ProfilingStatus"]
again = time.time()
found["again"] = wait_for(lambda: len(moments(again)) > 3)

errors = {}
try:
    estimator.enable_default_profiling()
except ValueError as error:
    errors["twice"] = str(error)
client = boto3.client("sagemaker")
try:
    client.update_training_job(TrainingJobName=name, ProfilerConfig={"ProfilingIntervalInMilliseconds": 250})
except client.exceptions.ClientError as error:
    errors["interval"] = error.response["Error"]["Message"]
client.stop_training_job(TrainingJobName=name)
client.get_waiter("training_job_completed_or_stopped").wait(
    TrainingJobName=name, WaiterConfig={"Delay": 1}
)
final = job.describe_training_job()
try:
    estimator.disable_profiling()
except client.exceptions.ClientError as error:
    errors["over"] = error.response["Error"]["Message"]
found["errors"] = errors
found["status"] = final["TrainingJobStatus"]
found["rules"] = {
    one["RuleConfigurationName"]: one["RuleEvaluationStatus"] for one in final.get("ProfilerRuleEvaluationStatuses", [])
}
print()
print("RESULT", json.dumps(found))
