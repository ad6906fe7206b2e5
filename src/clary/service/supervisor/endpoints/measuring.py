"""What the processes of an endpoint's replicas use, a value a minute and instance.

The metrics and their dimensions are those of AWS's instances behind endpoints.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from clary import clock
from clary.service.state.replicas import SERVING, ReplicaRecord
from clary.service.supervisor.endpoints.workplace import Workplace
from clary.service.supervisor.host_metrics import HostMetrics

logger = logging.getLogger(__name__)

NAMESPACE = "/aws/sagemaker/Endpoints"
_BACKOFF_S = 60.0


class EndpointMeter:
    """Samples on the pool, one piece of work at a time, every `sample_s`.

    Owned by an endpoint's conductor. What fails is told in the service's log and tried again.
    """

    def __init__(self, work: Workplace, endpoint: str) -> None:
        self._work = work
        self._endpoint = endpoint
        self._usage = HostMetrics(
            endpoint, work.settings.home, NAMESPACE, dimensions=self._dimensions
        )
        self._measuring: Future[None] | None = None
        self._due = 0.0

    def measure(self, replicas: Sequence[ReplicaRecord]) -> None:
        """Sample the replicas that serve, where it is time to."""
        now = time.monotonic()
        if now < self._due or (self._measuring is not None and not self._measuring.done()):
            return
        serving = [one for one in replicas if one.status == SERVING]
        if serving:
            self._due = now + self._work.timing.sample_s
            self._measuring = self._work.pool.submit(self._sample, serving)

    def _sample(self, replicas: Sequence[ReplicaRecord]) -> None:
        try:
            hosts = {}
            for one in replicas:
                folder = self._work.replica_folder(self._endpoint, one.fleet, one.instance)
                pid = self._work.replicas.process(folder)
                if pid is not None:
                    hosts[f"{one.variant}/{one.instance}"] = pid
            data = self._usage.sample(hosts, clock.now_ms())
            if self._work.state.endpoints.find(self._endpoint) is not None:
                self._work.state.metrics.add(data)
        except Exception:
            logger.exception("What %s uses cannot be measured; tried again", self._endpoint)
            self._due = time.monotonic() + _BACKOFF_S

    def _dimensions(self, host: str) -> Mapping[str, str]:
        return {"EndpointName": self._endpoint, "VariantName": host.partition("/")[0]}
