"""Draws a profile by all charts and tables, and says what they show."""

import json
import sys

from smdebug.profiler.algorithm_metrics_reader import LocalAlgorithmMetricsReader
from smdebug.profiler.analysis.notebook_utils.heatmap import Heatmap
from smdebug.profiler.analysis.notebook_utils.metrics_histogram import MetricsHistogram
from smdebug.profiler.analysis.notebook_utils.step_histogram import StepHistogram
from smdebug.profiler.analysis.notebook_utils.step_timeline_chart import StepTimelineChart
from smdebug.profiler.analysis.notebook_utils.timeline_charts import TimelineCharts
from smdebug.profiler.analysis.utils.pandas_data_analysis import (
    PandasFrameAnalysis,
    Resource,
    StatsBy,
)
from smdebug.profiler.analysis.utils.profiler_data_to_pandas import PandasFrame
from smdebug.profiler.analysis.utils.pytorch_dataloader_analysis import PT_dataloader_analysis
from smdebug.profiler.system_metrics_reader import LocalSystemMetricsReader

folder, empty = sys.argv[1:]
system, framework = LocalSystemMetricsReader(folder), LocalAlgorithmMetricsReader(folder)
found = {}


def titles(chart):
    chart.figure.savefig("chart.png")
    return [axes.get_title(loc="left") for axes in chart.figure.axes if axes.get_visible()]


charts = TimelineCharts(
    system, framework, select_dimensions=["CPU", "GPU"], select_events=["total"]
)
found["timeline"] = titles(charts)
found["points"] = [len(axes.lines[0].get_xdata()) for axes in charts.figure.axes if axes.lines]
found["bands"] = [text.get_text() for legend in charts.figure.legends for text in legend.texts]
charts.find_time_annotations([10, 20])
charts.find_time_annotations([])
charts.plot_detailed_profiler_data([10, 12])
found["detail"] = titles(charts._details)
found["default"] = titles(TimelineCharts(system, None, x=20))
TimelineCharts(system, None, select_dimensions=["TPU"])

steps = StepTimelineChart(framework)
found["steps"] = [titles(steps), len(steps.steps_np)]

histogram = StepHistogram(framework)
histogram.plot(show_workers=False)
found["histogram"] = titles(histogram)
histogram.plot(starttime=histogram.last_timestamp - 5_000_000, endtime=histogram.last_timestamp)
found["last seconds"] = {name: len(values) for name, values in histogram.step_metrics.items()}

metrics = MetricsHistogram(system)
metrics.plot(select_dimensions=["CPU", "I/O", "Algorithm"], select_events=["total"])
found["metrics"] = titles(metrics)

heatmap = Heatmap(system, framework, select_dimensions=["CPU", "GPU", "I/O"], plot_height=450)
titles(heatmap)
found["heatmap"] = [text.get_text() for text in heatmap.figure.axes[0].get_yticklabels()]
found["heat"] = float(heatmap.figure.axes[0].images[0].get_array().max())

nothing = LocalSystemMetricsReader(empty), LocalAlgorithmMetricsReader(empty)
found["nothing"] = [
    TimelineCharts(*nothing).figure,
    Heatmap(nothing[0]).figure,
    StepTimelineChart(nothing[1]).figure,
]

frame = PandasFrame(folder)
system_df, framework_df = frame.get_all_system_metrics(), frame.get_all_framework_metrics()
found["columns"] = [list(system_df.columns), list(framework_df.columns)]
analysis = PandasFrameAnalysis(system_df, framework_df)
statistics = analysis.get_job_statistics()
found["job"] = {name: float(statistics[name]) for name in statistics if name.endswith("_%")}
by_mode = analysis.get_step_statistics(by=StatsBy.TRAINING_PHASE)
found["by mode"] = dict(zip(by_mode["training_phase"], by_mode["duration_p50_us"], strict=True))
by_phase = analysis.get_step_statistics(by=StatsBy.PROCESS)
found["by phase"] = dict(zip(by_phase["process"], by_phase["duration_p50_us"], strict=True))
busy = analysis.get_utilization_stats(resource=Resource.CPU, by=StatsBy.TRAINING_PHASE)
found["busy"] = dict(zip(busy["Training_phase"], busy["utilization_p50"], strict=True))
usage = analysis.get_device_usage_stats(device=Resource.CPU)
found["usage"] = usage.iloc[0, 2:].astype(int).tolist()
found["intervals"] = analysis.get_training_phase_intervals()["phase"].tolist()[:4]
some_system, some_framework = frame.get_profiler_data_by_step(20, 29)
found["by step"] = [
    sorted(set(some_framework["step"])),
    bool((some_system["timestamp_us"] >= some_framework["start_time_us"].min()).all()),
]
moments = system_df[system_df["system_metric"] == "cpu0"]["timestamp"].tolist()
phases, _, modes = frame.get_framework_metrics_by_timesteps(moments)
found["at moments"] = [max(phases, key=phases.get), sorted(modes)]

loaders = PT_dataloader_analysis(frame)
loaders.analyze_dataloaderIter_initialization()
loaders.analyze_dataloaderWorkers()
loaders.analyze_dataloader_getnext()
loaders.analyze_batchtime()
print("RESULT", json.dumps(found))
