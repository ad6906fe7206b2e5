"""Numbers that are metrics of the training job, too: `save_scalar(…, sm_metric=True)`."""

from __future__ import annotations

import os
import time
from typing import Any

from ..core.logger import get_logger
from .arguments import JOB_VARIABLE

# The service's own bound on one request.
_AT_ONCE = 10


class JobMetrics:
    """Sends numbers to SageMaker Metrics, ten at a time; outside a job it does nothing.

    Owned by a hook, and used on its thread. What cannot be sent is said once, and given up.
    """

    def __init__(self) -> None:
        self._job = os.environ.get(JOB_VARIABLE)
        self._waiting: list[dict[str, Any]] = []
        self._client: Any = None

    def add(self, name: str, value: float, step: int, timestamp: float | None) -> None:
        """Take a number; `timestamp` is in seconds since 1970, None is now."""
        if not self._job:
            return
        when = time.time() if timestamp is None else timestamp
        self._waiting.append(
            {"MetricName": name, "Timestamp": int(when), "Step": step, "Value": value}
        )
        if len(self._waiting) >= _AT_ONCE:
            self.close()

    def close(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self._send(waiting)
        except Exception as error:  # noqa: BLE001 - the training goes on without its metrics
            get_logger().warning("metrics cannot be sent any more: %s", error)
            self._job = None

    def _send(self, data: list[dict[str, Any]]) -> None:
        if self._client is None:
            import boto3

            self._client = boto3.client("sagemaker-metrics")
        answer = self._client.batch_put_metrics(
            TrialComponentName=f"{self._job}-aws-training-job", MetricData=data
        )
        for failed in answer.get("Errors", ()):
            get_logger().warning("metric %s is refused: %s", data[failed["MetricIndex"]], failed)
