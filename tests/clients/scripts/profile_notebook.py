# %%
"""What a notebook does with the profiler: rules, fit, the report, metrics as charts and tables."""

import json
import os
import sys

import boto3
import sagemaker
from sagemaker.debugger import FrameworkProfile, ProfilerConfig, ProfilerRule, rule_configs
from sagemaker.pytorch import PyTorch

script, hyperparameters = os.environ["NOTEBOOK_SCRIPT"], json.loads(os.environ["NOTEBOOK_HYPERPARAMETERS"])
session = sagemaker.Session()
bucket = session.default_bucket()
region = session.boto_region_name

# %%
rules = [
    ProfilerRule.sagemaker(rule_configs.LowGPUUtilization()),
    ProfilerRule.sagemaker(rule_configs.ProfilerReport()),
]
profiler_config = ProfilerConfig(
    system_monitor_interval_millis=500, framework_profile_params=FrameworkProfile(num_steps=10)
)
estimator = PyTorch(
    entry_point=os.path.basename(script),
    source_dir=os.path.dirname(script),
    base_job_name="profiled",
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.xlarge",
    framework_version="1.8",
    py_version="py36",
    hyperparameters=hyperparameters,
    rules=rules,
    profiler_config=profiler_config,
)

# %%
estimator.fit(wait=True)

# %%
rule_output_path = estimator.output_path + estimator.latest_training_job.job_name + "/rule-output"
print(f"You will find the profiler report in {rule_output_path}")
summary = estimator.latest_training_job.rule_job_summary()
profiler_report_name = [
    rule["RuleConfigurationName"] for rule in summary if "Profiler" in rule["RuleConfigurationName"]
][0]

# %%
from smdebug.profiler.analysis.notebook_utils.training_job import TrainingJob
from smdebug.profiler.analysis.notebook_utils.timeline_charts import TimelineCharts

training_job_name = estimator.latest_training_job.name
print(f"Training jobname: {training_job_name}")
print(f"Region: {region}")
tj = TrainingJob(training_job_name, region)
tj.wait_for_sys_profiling_data_to_be_available()
tj.wait_for_framework_profiling_data_to_be_available()

# %%
system_metrics_reader = tj.get_systems_metrics_reader()
framework_metrics_reader = tj.get_framework_metrics_reader()
system_metrics_reader.refresh_event_file_list()
framework_metrics_reader.refresh_event_file_list()

view_timeline_charts = TimelineCharts(
    system_metrics_reader,
    framework_metrics_reader=None,
    select_dimensions=["CPU", "GPU"],
    select_events=["total"],
)

# %%
view_timeline_charts = TimelineCharts(
    system_metrics_reader,
    framework_metrics_reader,
    select_dimensions=["CPU", "GPU", "I/O"],
    select_events=["total"],
)

# %%
view_timeline_charts.find_time_annotations([1, 4])
view_timeline_charts.plot_detailed_profiler_data([1, 4])
view_timeline_charts.update_data(system_metrics_reader.get_timestamp_of_latest_available_file())

# %%
from smdebug.profiler.analysis.notebook_utils.metrics_histogram import MetricsHistogram

metrics_histogram = MetricsHistogram(system_metrics_reader)
metrics_histogram.plot(
    starttime=0,
    endtime=system_metrics_reader.get_timestamp_of_latest_available_file(),
    select_dimensions=["CPU", "GPU", "I/O"],
    select_events=["total"],
)

# %%
from smdebug.profiler.analysis.notebook_utils.step_timeline_chart import StepTimelineChart

view_step_timeline_chart = StepTimelineChart(framework_metrics_reader)

# %%
from smdebug.profiler.analysis.notebook_utils.step_histogram import StepHistogram

step_histogram = StepHistogram(framework_metrics_reader)
step_histogram.plot(
    starttime=step_histogram.last_timestamp - 5 * 1000 * 1000,
    endtime=step_histogram.last_timestamp,
    show_workers=True,
)

# %%
from smdebug.profiler.analysis.notebook_utils.heatmap import Heatmap

view_heatmap = Heatmap(
    system_metrics_reader,
    framework_metrics_reader,
    select_dimensions=["CPU", "GPU", "I/O"],
    select_events=["total"],
    plot_height=450,
)

# %%
from smdebug.profiler.analysis.utils.pandas_data_analysis import PandasFrameAnalysis, StatsBy
from smdebug.profiler.analysis.utils.profiler_data_to_pandas import PandasFrame

pf = PandasFrame(tj.profiler_s3_output_path)
system_metrics_df = pf.get_all_system_metrics()
framework_metrics_df = pf.get_all_framework_metrics()
analysis = PandasFrameAnalysis(system_metrics_df, framework_metrics_df)
print(analysis.get_job_statistics())
step_stats = analysis.get_step_statistics(by=StatsBy.TRAINING_PHASE)
step_stats

# %%
from smdebug.profiler.analysis.python_profile_analysis import cProfileAnalysis
from smdebug.profiler.analysis.utils.python_profile_analysis_utils import Metrics

os.makedirs("python_stats", exist_ok=True)
python_analysis = cProfileAnalysis(local_profile_dir="python_stats", s3_path=tj.profiler_s3_output_path)
python_stats = python_analysis.fetch_profile_stats_by_training_phase()
for (begin, end), stats in python_stats.items():
    stats.print_top_n_functions(Metrics.TOTAL_TIME, n=5)

# %%
import IPython

s3 = boto3.client("s3")
prefix = f"{training_job_name}/rule-output/{profiler_report_name}/profiler-output/"
s3.download_file(bucket, prefix + "profiler-report.html", "profiler-report.html")
IPython.display.display(IPython.display.HTML(filename="profiler-report.html"))
objects = s3.list_objects_v2(Bucket=bucket, Prefix=f"{training_job_name}/rule-output/{profiler_report_name}/")

# %%
described = tj.describe_training_job()
print()
print(
    "RESULT",
    json.dumps(
        {
            "name": training_job_name,
            "rule_output": rule_output_path,
            "report": profiler_report_name,
            "place": tj.profiler_s3_output_path,
            "artifacts": estimator.latest_job_profiler_artifacts_path(),
            "summary": {r["RuleConfigurationName"]: r["RuleEvaluationStatus"] for r in summary},
            "details": {r["RuleConfigurationName"]: r.get("StatusDetails", "") for r in summary},
            "profiling": described["ProfilingStatus"],
            "objects": sorted(one["Key"].removeprefix(prefix) for one in objects["Contents"]),
            "cpu": float(view_timeline_charts.system_metrics["CPUUtilization-nodeid:algo-1"]["total"][:, 1].mean()),
            "samples": len(view_timeline_charts.system_metrics["CPUUtilization-nodeid:algo-1"]["total"]),
            "steps": {
                mode: sum(one.steps for one in framework_metrics_reader.get_events(0, 4e15) if one.event_name == mode)
                for mode in set(view_step_timeline_chart.metric_names)
            },
            "phases": sorted(set(framework_metrics_df["process"])),
            "statistics": dict(zip(step_stats["training_phase"], step_stats["duration_p50_us"])),
            "functions": sum(len(stats.function_stats_list) for stats in python_stats.values()),
            "smdebug": sys.modules["smdebug"].__file__,
        }
    ),
)
