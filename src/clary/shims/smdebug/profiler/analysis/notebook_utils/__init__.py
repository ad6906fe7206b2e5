"""Jobs and charts, as notebooks use them.

    from smdebug.profiler.analysis.notebook_utils.training_job import TrainingJob
    from smdebug.profiler.analysis.notebook_utils.timeline_charts import TimelineCharts

    job = TrainingJob(estimator.latest_training_job.name)
    job.wait_for_sys_profiling_data_to_be_available()
    TimelineCharts(job.get_systems_metrics_reader(), None, select_dimensions=["CPU", "GPU"])

Charts are pictures, drawn by matplotlib: they show in every notebook, without a network. Each
keeps its `figure`, to be saved or changed; outside of notebooks that is all that is made of it.
"""

from .heatmap import Heatmap
from .metrics_histogram import MetricsHistogram
from .step_histogram import StepHistogram
from .step_timeline_chart import StepTimelineChart
from .timeline_charts import TimelineCharts
from .training_job import TrainingJob

__all__ = [
    "Heatmap",
    "MetricsHistogram",
    "StepHistogram",
    "StepTimelineChart",
    "TimelineCharts",
    "TrainingJob",
]
