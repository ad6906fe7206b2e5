"""From the router to a replica and back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from clary.service.faults import Fault
from clary.service.invocations.connections import Body, Connections, NotAccepted, Reply
from clary.service.invocations.faults import overloaded
from clary.service.invocations.hosting import Hosted, HostedVariant
from clary.service.invocations.routing import REPLACING_S, Router
from clary.service.invocations.traffic import Traffic
from clary.service.state.replicas import ReplicaRecord

PATH = "/invocations"
# Who is meant: after a start of the machine another may listen where a replica is known to.
INSTANCE = "x-clary-instance"
# What a replica says of a request that it did not begin with: "full" or one of those that pass.
NOT_ACCEPTED = "x-clary-not-accepted"
TIMED_OUT = "x-clary-timed-out"
_PASSING = frozenset({"starting", "stopping", "another"})
_PAUSE_S = 0.05


@dataclass(frozen=True)
class Forwarded:
    """The answer of a replica, and how long it took from there to here."""

    reply: Reply
    replica: ReplicaRecord
    microseconds: int

    @property
    def timed_out(self) -> bool:
        """Whether the replica gave the request up at its deadline."""
        return self.reply.status == 504 and TIMED_OUT in self.reply.headers


class Forwarding:
    """Sends invocations to replicas, to another one as long as none has begun with it."""

    def __init__(self, router: Router, connections: Connections, traffic: Traffic) -> None:
        self._router = router
        self._connections = connections
        self._traffic = traffic

    def send(
        self,
        hosted: Hosted,
        variant: HostedVariant,
        headers: Mapping[str, str],
        body: Body,
        deadline: float,
    ) -> Forwarded:
        """Have a replica of a variant answer.

        Args:
            hosted: the endpoint.
            variant: of it, for production or as a shadow.
            headers: what the replica is told.
            body: of the invocation.
            deadline: by `time.monotonic()`.

        Raises:
            Fault: nothing serves, or every replica has as much to do as it takes.
            NotAnswered: a replica may have begun with it, and gave no answer.
            StorageError: the database cannot be read.
        """
        without: set[str] = set()
        full: str | None = None
        until = min(deadline, time.monotonic() + REPLACING_S)
        while True:
            replica = self._router.begin(hosted, variant, deadline, without)
            begun = time.perf_counter()
            try:
                reply = self._post(replica, headers, body, deadline)
            except NotAccepted:
                passing = True
            else:
                said = reply.headers.get(NOT_ACCEPTED) if reply.status == 503 else None
                if said is None:
                    spent = int((time.perf_counter() - begun) * 1_000_000)
                    return Forwarded(reply, replica, spent)
                passing = said in _PASSING
                if not passing:
                    full = reply.headers.get("retry-after", "1")
            finally:
                self._traffic.end(replica.instance)
            without.add(replica.instance)
            if self._router.has_another(hosted, variant, without):
                continue
            if full is not None:
                raise _full(hosted, variant, full)
            if time.monotonic() >= until:
                raise overloaded(
                    f"No instance of variant {variant.name} of endpoint {hosted.name} answers now."
                )
            # Whoever refused may be replaced, or come back, in a moment.
            without.clear()
            time.sleep(_PAUSE_S)

    def _post(
        self,
        replica: ReplicaRecord,
        headers: Mapping[str, str],
        body: Body,
        deadline: float,
    ) -> Reply:
        if replica.port is None:
            raise NotAccepted("it does not listen")
        seconds = deadline - time.monotonic()
        meant = {**headers, INSTANCE: replica.instance}
        return self._connections.post(replica.port, PATH, meant, body, seconds)


def _full(hosted: Hosted, variant: HostedVariant, retry_after_s: str) -> Fault:
    return overloaded(
        f"Every instance of variant {variant.name} of endpoint {hosted.name} has as many "
        "invocations waiting as it takes: try again later, or give the variant more instances.",
        retry_after_s,
    )
