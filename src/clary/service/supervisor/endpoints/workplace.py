"""What the conductors of endpoints work with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from clary.errors import ClaryError
from clary.service.executors.replica_executor import ReplicaExecutor
from clary.service.invocations.traffic import Traffic
from clary.service.state.state import State
from clary.service.supervisor.daemon_pool import DaemonPool
from clary.service.supervisor.endpoints.health import WatchedTime
from clary.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/Endpoints/"

_ASKING_LIMIT = 16
_PREPARING_LIMIT = 16


@dataclass(frozen=True)
class EndpointTiming:
    """Durations in seconds.

    Endpoints are looked at every `tick_s` while something moves, every `calm_tick_s` otherwise. A
    replica that drains is told to end once nothing is under way, after `settle_s` at the earliest
    and `drain_s` beyond a request's deadline at the latest; as long again, and it is killed.
    Replicas are asked for their health every `health_s`
    and are replaced when they have not answered for `unhealthy_s`. One that fails is replaced at
    once, and the next ones after waits that double from `backoff_s` to `backoff_limit_s`, until
    one has served for `proven_s`. A serverless variant ends its replica when nobody has asked
    anything of it for `idle_s`. What an autoscaling policy asks for is looked at every `scaling_s`.
    Who asks for a model of many waits `fetch_s` while it is fetched, a little less than its client
    does; one that nobody has asked for in `unasked_s` may be deleted. The processes of replicas
    are sampled every `sample_s`. A step that failed is tried again after `retry_s`.
    """

    tick_s: float = 0.02
    calm_tick_s: float = 0.1
    settle_s: float = 0.3
    drain_s: float = 10.0
    health_s: float = 5.0
    unhealthy_s: float = 60.0
    backoff_s: float = 0.5
    backoff_limit_s: float = 60.0
    proven_s: float = 30.0
    idle_s: float = 60.0
    scaling_s: float = 10.0
    fetch_s: float = 55.0
    unasked_s: float = 900.0
    sample_s: float = 10.0
    retry_s: float = 1.0


@dataclass(frozen=True)
class Workplace:
    """The parts that all conductors share; any thread may use any of them.

    What takes seconds runs on `pool`, what may take minutes on `preparing`; `asking` is for
    questions to replicas alone, which nothing may hold up. `clock` is what replicas are judged by.

    `environment` is what Clary adds to the environment of replicas. `changed` is called after
    every change and when a step may have become possible. `wishes` holds when serverless variants
    were last asked for, by endpoint and variant, in milliseconds since 1970.
    """

    state: State
    replicas: ReplicaExecutor
    settings: Settings
    pool: Pool
    environment: Callable[[], Mapping[str, str]]
    traffic: Traffic
    changed: Callable[[], None]
    asking: Pool = field(default_factory=lambda: DaemonPool(_ASKING_LIMIT))
    preparing: Pool = field(default_factory=lambda: DaemonPool(_PREPARING_LIMIT))
    clock: WatchedTime = field(default_factory=WatchedTime)
    timing: EndpointTiming = field(default_factory=EndpointTiming)
    wishes: dict[tuple[str, str], int] = field(default_factory=dict)

    def begin(
        self, pool: Pool, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Have something done on a pool; a step may be possible when it is.

        Whoever waits for it gets what it raises; the service's log has it in any case.
        """
        future = pool.submit(work, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            unforeseen = None if isinstance(error, ClaryError) else error
            logger.warning("Work for an endpoint failed: %s", error, exc_info=unforeseen)
        self.changed()

    def endpoint_folder(self, endpoint: str) -> Path:
        """Everything of an endpoint."""
        return self.settings.endpoints_dir / endpoint

    def model_folder(self, endpoint: str, fleet: int, variant: str) -> Path:
        """What the replicas of a variant share."""
        return self.endpoint_folder(endpoint) / str(fleet) / "models" / variant

    def replica_folder(self, endpoint: str, fleet: int, instance: str) -> Path:
        """The folder of one replica."""
        return self.endpoint_folder(endpoint) / str(fleet) / instance
