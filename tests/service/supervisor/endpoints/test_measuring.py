"""What replicas use is told as AWS tells it of instances."""

from __future__ import annotations

import os

import pytest

from clary.service.supervisor import host_metrics
from tests.service.supervisor.endpoints.conftest import Stage, configuration, variant


def test_what_replicas_use_is_a_metric_of_their_variant(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_metrics, "WINDOW_MS", 200)
    stage.replicas.pid = os.getpid()
    stage.create("e", configuration(variant(count=2)))
    stage.reach("e", "InService")

    def told() -> set[str]:
        metrics = [one for _, one in stage.state.metrics.known("/aws/sagemaker/Endpoints")]
        assert all(
            dict(metric.dimensions) == {"EndpointName": "e", "VariantName": "AllTraffic"}
            for metric in metrics
        )
        return {metric.name for metric in metrics}

    stage.eventually(lambda: {"CPUUtilization", "MemoryUtilization", "DiskUtilization"} <= told())
