"""Keeps endpoints as they are asked to be; the only writer of their replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clary import clock
from clary.service.executors.replica_executor import ReplicaExecutor
from clary.service.invocations.traffic import Traffic
from clary.service.state.endpoints import EndpointRecord
from clary.service.state.state import State
from clary.service.supervisor.daemon_pool import DaemonPool
from clary.service.supervisor.endpoints.many_models import ManyModels
from clary.service.supervisor.endpoints.rounds import EndpointRounds
from clary.service.supervisor.endpoints.workplace import EndpointTiming, Workplace
from clary.service.supervisor.round_loop import RoundLoop
from clary.settings import Settings

# Each waits on a thread of its own.
WAITER_LIMIT = 64
_CLOSING_S = 5.0


class EndpointSupervisor:
    """Takes every endpoint from its creation to its end.

    Owned by the supervisor. One thread of its own decides, so that no training job holds up a
    replica; work that may take long runs beside it. Every public method may be called from any
    thread. After a crash a new one takes up what the state and the processes hold: replicas that
    live are found again, and none is launched twice.
    """

    def __init__(
        self,
        state: State,
        replicas: ReplicaExecutor,
        settings: Settings,
        *,
        environment: Callable[[], Mapping[str, str]],
        traffic: Traffic,
        timing: EndpointTiming | None = None,
    ) -> None:
        """Assemble the parts; `start` sets it going.

        Args:
            state: where endpoints and replicas are stored.
            replicas: where replicas run.
            settings: the home.
            environment: what Clary adds to a replica's environment, asked for each.
            traffic: what goes through the endpoints.
            timing: how long to wait for what.
        """
        self._state = state
        self._pool = DaemonPool()
        timing = timing or EndpointTiming()
        self._work = Workplace(
            state,
            replicas,
            settings,
            self._pool,
            environment,
            traffic,
            self.wake,
            timing=timing,
        )
        self._models = ManyModels(self._work)
        self._loop = RoundLoop(
            "clary-endpoints",
            EndpointRounds(self._work).next,
            waiters=WAITER_LIMIT,
            retry_s=timing.retry_s,
        )

    def start(self) -> None:
        """Take up all endpoints that there are.

        Returns once all replicas were looked at: no request goes to a port that a dead one had.
        """
        self._loop.start(first_here=True)

    def release(self) -> None:
        """Decide nothing more, and let waiting callers return now: the service is about to end."""
        self._loop.release()

    def close(self) -> None:
        """Let go of everything. Replicas go on."""
        self._loop.close()
        self._pool.join(_CLOSING_S)

    def wake(self) -> None:
        """Say that something was changed, or may have become possible."""
        self._loop.wake()

    def want(self, endpoint: str, variant: str) -> None:
        """Have a serverless variant started, or kept; returns at once."""
        self._work.wishes[endpoint, variant] = clock.now_ms()
        self.wake()

    def fetch_model(self, endpoint: str, variant: str, target: str) -> str | None:
        """Have one model of a multi-model variant where its replicas see it; its folder's name.

        None where it is not there yet, after `EndpointTiming.fetch_s`: it is on its way.

        Raises:
            ClaryError: there is no such model, or it cannot be unpacked or served.
            StorageError: the database cannot be read, or the folder cannot be written.
        """
        return self._models.fetch(endpoint, variant, target)

    def wait_until(
        self, name: str, satisfied: Callable[[EndpointRecord], bool], seconds: float
    ) -> EndpointRecord | None:
        """Wait until an endpoint is as wanted, at most so long; it then, None when it is gone.

        More than `WAITER_LIMIT` callers do not wait: they get the endpoint as it is.

        Raises:
            StorageError: the database cannot be read.
        """
        return self._loop.wait_until(self._state.endpoints.find, name, satisfied, seconds)
