"""What torch's loaders did, in words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..libraries import library
from .profiler_data_to_pandas import PandasFrame

_FAR = 2
_WORKER_COLUMNS = ("start_time", "end_time", "duration_us", "worker_id")
_READABLE = "%Y-%m-%dT%H:%M:%S:%f"


class PT_dataloader_analysis:  # noqa: N801 - AWS's name
    """Prints what a job's loaders did; what took more than twice the median is a table."""

    def __init__(self, pandas_frame: PandasFrame) -> None:
        """Read what the loaders did.

        Args:
            pandas_frame: of the job.
        """
        self.pd_data_frame = pandas_frame
        get = pandas_frame.get_all_dataloader_metrics
        self.dataIter_metric = get([".*DataLoaderIter::GetNext"])
        self.initialize_metric = get(["DataLoaderIterInitialize"])
        self.dataWorker_metric = get(["DataLoaderWorker"])

    def analyze_dataloaderIter_initialization(self) -> None:  # noqa: N802 - AWS's name
        """How the loaders were made."""
        if self.initialize_metric.empty:
            print("The making of loaders was not recorded")
            return
        for kind, made in self.initialize_metric.groupby("framework_metric"):
            print(
                f"{kind}: made {len(made)} times, with {made['num_workers'].iloc[0]} workers and "
                f"pin_memory={made['pin_memory'].iloc[0]}; this took "
                f"{made['duration_us'].median() / 1000:,.1f} ms in the median, "
                f"{made['duration_us'].max() / 1000:,.1f} ms at most"
            )

    def analyze_dataloaderWorkers(self) -> Any:  # noqa: N802 - AWS's name
        """The workers, and how long they lived; a table of those that lived far longer."""
        return self._far_off(self.dataWorker_metric, "Workers of loaders", "lived")

    def analyze_dataloader_getnext(self) -> Any:
        """How long the training waited for its batches; a table of far longer waits."""
        return self._far_off(self.dataIter_metric, "Batches that were waited for", "took")

    def analyze_batchtime(self) -> Any:
        """How long it was from batch to batch; a table of far longer times."""
        waits = self.dataIter_metric
        if waits.empty:
            print("No batches were waited for, as far as it was recorded")
            return None
        waits = waits.sort_values(by=["node_id", "pid", "start_time_us"]).copy()
        began = library("pandas", "tables").to_datetime(waits["start_time"], format=_READABLE)
        place = [waits["node_id"], waits["pid"]]
        waits["BatchTime_in_seconds"] = began.groupby(place).diff().dt.total_seconds()
        waits["previous_batch_start"] = waits["start_time"].groupby(place).shift()
        median = waits["BatchTime_in_seconds"].median()
        print(f"From batch to batch: {median:.4g} s in the median")
        columns = ("previous_batch_start", "start_time", "BatchTime_in_seconds", "worker_id")
        return _far_off(waits, "BatchTime_in_seconds", median, columns)

    def plot_the_window(
        self,
        start_timestamp: float,
        end_timestamp: float,
        select_events: Sequence[str] = (".*",),
        select_dimensions: Sequence[str] = (".*",),
    ) -> Any:
        """What the machines did meanwhile, as `TimelineCharts`.

        Args:
            start_timestamp: in microseconds since 1970.
            end_timestamp: in microseconds since 1970.
            select_events: regular expressions of names, such as `["total"]`.
            select_dimensions: regular expressions, such as `["CPU", "GPU"]`.

        Raises:
            ImportError: there is no matplotlib.
        """
        from ..notebook_utils.timeline_charts import TimelineCharts

        return TimelineCharts(
            self.pd_data_frame.system_metrics_reader,
            self.pd_data_frame.framework_metrics_reader,
            starttime=start_timestamp,
            endtime=end_timestamp,
            select_events=select_events,
            select_dimensions=select_dimensions,
        )

    def _far_off(self, table: Any, what: str, verb: str) -> Any:
        if table.empty:
            print(f"{what}: none, as far as it was recorded")
            return None
        median, most = table["duration_us"].median(), table["duration_us"].max()
        print(
            f"{what}: {len(table):,}; they {verb} {median / 1000:,.1f} ms in the median, "
            f"{most / 1000:,.1f} ms at most"
        )
        return _far_off(table, "duration_us", median, _WORKER_COLUMNS)


def _far_off(table: Any, column: str, median: float, columns: Sequence[str]) -> Any:
    far = table.loc[table[column] >= _FAR * median, list(columns)]
    if far.empty or not median:
        print(f"None took {_FAR} times as long as the median")
        return None
    return far.sort_values(by=[column], ascending=False).reset_index(drop=True)
