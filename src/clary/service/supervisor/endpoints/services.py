"""What a fleet's configuration asks of the replicas of one variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.formats.replica import MAX_BODY_BYTES
from clary.gpus import count_gpus
from clary.service.executors.gpus import is_gpu_type
from clary.service.executors.replica_executor import DEADLINE_S
from clary.service.executors.served_models import ModelSource
from clary.service.state.endpoints import EndpointRecord, model_request, variant_request

# What asynchronous and serverless invocations may carry and take, by SageMaker's documentation.
_ASYNC_BODY_BYTES = 1 << 30
_ASYNC_DEADLINE_S = 3600.0
_SERVERLESS_BODY_BYTES = 4 << 20
# How long a container may take to answer /ping for the first time.
STARTUP_S = 240.0


@dataclass(frozen=True)
class Service:
    """What the replicas of a variant serve, and within which bounds.

    shadow:      they get copies of the traffic, and nobody their answers
    startup_s:   how long a replica may take until it serves
    on_gpu:      each has a GPU
    """

    source: ModelSource
    shadow: bool
    deadline_s: float
    max_body_bytes: int
    startup_s: float
    on_gpu: bool

    @classmethod
    def of(
        cls, endpoint: EndpointRecord, fleet: int, config: Mapping[str, Any], variant: str
    ) -> Service:
        """Read it of a configuration.

        Args:
            endpoint: whose variant it is.
            fleet: of which fleet.
            config: the fleet's configuration, with the models' requests.
            variant: its name.
        """
        request = variant_request(config, variant)
        asynchronous = bool(config.get("AsyncInferenceConfig"))
        on_gpu = count_gpus() > 0 and is_gpu_type(str(request.get("InstanceType")))
        body_bytes = MAX_BODY_BYTES
        if asynchronous:
            body_bytes = _ASYNC_BODY_BYTES
        elif request.get("ServerlessConfig"):
            body_bytes = _SERVERLESS_BODY_BYTES
        startup_s = request.get("ContainerStartupHealthCheckTimeoutInSeconds")
        return cls(
            source=ModelSource(
                identity=f"{endpoint.arn} {endpoint.created_ms} {fleet} {variant}",
                arn=endpoint.arn,
                request=model_request(config, variant),
                on_gpu=on_gpu,
            ),
            shadow=request in (config.get("ShadowProductionVariants") or ()),
            deadline_s=_ASYNC_DEADLINE_S if asynchronous else DEADLINE_S,
            max_body_bytes=body_bytes,
            startup_s=float(startup_s or STARTUP_S),
            on_gpu=on_gpu,
        )
