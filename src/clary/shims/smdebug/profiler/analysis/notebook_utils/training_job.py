"""A training job, and where its profiler writes."""

from __future__ import annotations

import time
from typing import Any

from ....exceptions import SMDebugRuntimeError
from ...algorithm_metrics_reader import S3AlgorithmMetricsReader
from ...conversions import us_since_epoch_to_human_readable_time
from ...metrics_reader_base import MetricsReaderBase
from ...system_metrics_reader import S3SystemMetricsReader

_POLL_SECONDS = 1.0
_OVER = {"Completed", "Failed", "Stopped"}


class TrainingJob:
    """A training job by its name. One thread uses it.

    `profiler_config` and `profiler_s3_output_path` are None for a job without a profiler.

    Raises:
        botocore.exceptions.ClientError: there is no such job.
    """

    def __init__(self, training_job_name: str, region: str | None = None) -> None:
        """Ask for the job.

        Args:
            training_job_name: such as `estimator.latest_training_job.name`.
            region: of the clients; that of the environment otherwise.
        """
        import boto3

        self.name = training_job_name
        words = {} if region is None else {"region_name": region}
        self.sm_client = boto3.client("sagemaker", **words)
        self._s3 = boto3.client("s3", **words)
        self.profiler_config: dict[str, Any] | None = None
        self.profiler_s3_output_path: str | None = None
        self.system_metrics_reader: S3SystemMetricsReader | None = None
        self.framework_metrics_reader: S3AlgorithmMetricsReader | None = None
        self.get_config_and_profiler_s3_output_path()
        print(f"ProfilerConfig:{self.profiler_config}")
        print(f"s3 path:{self.profiler_s3_output_path}")

    def get_systems_metrics_reader(self) -> S3SystemMetricsReader | None:
        """Of what the machines did; None before it was waited for."""
        return self.system_metrics_reader

    def get_framework_metrics_reader(self) -> S3AlgorithmMetricsReader | None:
        """Of steps and phases; None before they were waited for."""
        return self.framework_metrics_reader

    def get_sm_client(self) -> Any:
        """The client that the job was asked for with."""
        return self.sm_client

    def describe_training_job(self) -> dict[str, Any]:
        """What DescribeTrainingJob answers now."""
        answer: dict[str, Any] = self.sm_client.describe_training_job(TrainingJobName=self.name)
        return answer

    def get_config_and_profiler_s3_output_path(self) -> tuple[dict[str, Any] | None, str | None]:
        """How the job is profiled, and where to; asked for again while it is not known."""
        if self.profiler_s3_output_path is None:
            self.ds = self.describe_training_job()
            configuration = self.ds.get("ProfilerConfig") or {}
            place = configuration.get("S3OutputPath")
            if place:
                self.profiler_config = configuration
                self.profiler_s3_output_path = f"{place.rstrip('/')}/{self.name}/profiler-output"
        return self.profiler_config, self.profiler_s3_output_path

    def wait_for_sys_profiling_data_to_be_available(self) -> None:
        """Wait for the first metrics of the machines.

        Raises:
            SMDebugRuntimeError: the job is over and has none, or has no profiler.
        """
        reader = S3SystemMetricsReader(self._place(), client=self._s3)
        self._wait(reader, "system", "was its profiler switched off?")
        self.system_metrics_reader = reader
        print("\n\nProfiler data from system is available")

    def wait_for_framework_profiling_data_to_be_available(self) -> None:
        """Wait for the first steps.

        Raises:
            SMDebugRuntimeError: the job is over and has none, or has no profiler.
        """
        reader = S3AlgorithmMetricsReader(self._place(), client=self._s3)
        self._wait(reader, "framework", "does its script train by torch?")
        self.framework_metrics_reader = reader
        latest = reader.get_timestamp_of_latest_available_file()
        print("\n\nProfiler data from framework is available")
        print(f"The latest is of {us_since_epoch_to_human_readable_time(latest)} UTC")

    def _place(self) -> str:
        self.get_config_and_profiler_s3_output_path()
        if self.profiler_s3_output_path is None:
            raise SMDebugRuntimeError(
                f"{self.name} has no profiler: give its estimator a ProfilerConfig, or switch one "
                "on by estimator.enable_default_profiling() while it runs"
            )
        return self.profiler_s3_output_path

    def _wait(self, reader: MetricsReaderBase[Any], kind: str, hint: str) -> None:
        said = ("", "")
        while not reader.get_timestamp_of_latest_available_file():
            # Asked first: what a job that is over has written is there.
            job = self.describe_training_job()
            reader.refresh_event_file_list()
            if reader.get_timestamp_of_latest_available_file():
                return
            status = (job["TrainingJobStatus"], job.get("SecondaryStatus", ""))
            if status[0] in _OVER:
                raise SMDebugRuntimeError(
                    f"{self.name} is {status[0]} and has no {kind} metrics in {self._place()}: "
                    f"{hint}"
                )
            if status != said:
                print(
                    f"Profiler data from {kind} not available yet: "
                    f"the job is {status[0]}, {status[1]}"
                )
                said = status
            time.sleep(_POLL_SECONDS)
