"""Which variant answers an invocation, and which replica of it."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from clary.service.faults import Fault
from clary.service.invocations.faults import (
    endpoint_not_found,
    endpoint_not_ready,
    overloaded,
    throttled,
    variant_not_found,
)
from clary.service.invocations.hosting import Hosted, HostedVariant, Hosting, Unavailable
from clary.service.invocations.traffic import Traffic
from clary.service.state.replicas import ReplicaRecord

# A replica that died is replaced within two seconds, on a machine that is not overloaded.
REPLACING_S = 10.0
_ASK_AGAIN_S = 1.0


class Router:
    """Chooses where invocations go. Any thread may call; threads wait where nothing serves yet."""

    def __init__(
        self,
        hosting: Hosting,
        traffic: Traffic,
        account: str,
        want: Callable[[str, str], None],
    ) -> None:
        """Route what comes for the endpoints that `hosting` knows.

        Args:
            hosting: the endpoints.
            traffic: what replicas hold.
            account: whose endpoints they are.
            want: asks for a replica of a serverless variant, by endpoint and variant.
        """
        self._hosting = hosting
        self._traffic = traffic
        self._account = account
        self._want = want
        self._lock = threading.Lock()
        self._inside: Counter[tuple[str, str]] = Counter()
        self._closing = False

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closing = True
        self._hosting.close()

    def endpoint(self, name: str) -> Hosted:
        """An endpoint that answers.

        Raises:
            Fault: there is none of that name, or it does not answer now.
            StorageError: the database cannot be read.
        """
        found = self._hosting.find(name)
        if found is None:
            raise endpoint_not_found(name, self._account)
        if isinstance(found, Unavailable):
            raise endpoint_not_ready(name, self._account, found.status)
        return found

    def variant(self, hosted: Hosted, target: str | None) -> HostedVariant:
        """The variant that is asked for, or one by their weights.

        Raises:
            Fault: there is no such variant, or none has a weight.
        """
        if target is not None:
            named = hosted.variant(target)
            if named is None:
                raise variant_not_found(target)
            return named
        weights = [variant.weight for variant in hosted.variants]
        if len(weights) == 1:
            return hosted.variants[0]
        if sum(weights) <= 0:
            raise overloaded(f"No variant of endpoint {hosted.name} has a weight: give it one.")
        return random.choices(hosted.variants, weights)[0]

    @contextmanager
    def admitted(self, hosted: Hosted, variant: HostedVariant) -> Iterator[None]:
        """Be one of those that a serverless variant works on at once.

        Raises:
            Fault: there are as many as there may be.
        """
        if variant.concurrency is None:
            yield
            return
        key = hosted.name, variant.name
        with self._lock:
            if self._inside[key] >= variant.concurrency:
                raise throttled(variant.name, variant.concurrency)
            self._inside[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[key] -= 1
                if not self._inside[key]:
                    del self._inside[key]

    def begin(
        self,
        hosted: Hosted,
        variant: HostedVariant,
        deadline: float,
        without: Collection[str] = (),
    ) -> ReplicaRecord:
        """Choose a replica, waiting for one if need be; `Traffic.end` it with the request.

        Args:
            hosted: the endpoint as it was.
            variant: of it.
            deadline: until when to wait, by `time.monotonic()`.
            without: instances that did not take the request.

        Raises:
            Fault: no other replica serves, or the endpoint is gone.
            StorageError: the database cannot be read.
        """
        until = min(deadline, time.monotonic() + REPLACING_S)
        if variant.serverless:
            until = deadline
        asked = float("-inf")
        seen: tuple[int, int] | None = None
        while True:
            version = self._hosting.version
            if version != seen:
                seen = version
                replicas = {one.instance: one for one in self._replicas(hosted.name, variant)}
                open_to = [instance for instance in replicas if instance not in without]
            if open_to:
                if variant.random:
                    chosen = random.choice(open_to)
                    self._traffic.begin(chosen)
                else:
                    chosen = self._traffic.begin_at_least(open_to)
                return replicas[chosen]
            now = time.monotonic()
            if now >= until or self._closing:
                raise overloaded(
                    f"No instance of variant {variant.name} of endpoint {hosted.name} answers now."
                )
            if variant.serverless and now - asked >= _ASK_AGAIN_S:
                self._want(hosted.name, variant.name)
                asked = now
            patience_s = until - now
            if variant.serverless:
                patience_s = min(patience_s, asked + _ASK_AGAIN_S - now)
            self._hosting.wait(version, patience_s)

    def has_another(self, hosted: Hosted, variant: HostedVariant, without: Collection[str]) -> bool:
        """Whether a replica serves that is none of `without`.

        Raises:
            StorageError: the database cannot be read.
        """
        try:
            replicas = self._replicas(hosted.name, variant)
        except Fault:
            return False
        return any(one.instance not in without for one in replicas)

    def _replicas(self, endpoint: str, variant: HostedVariant) -> tuple[ReplicaRecord, ...]:
        """The replicas that serve a variant now; a fleet may have taken another's place."""
        hosted = self.endpoint(endpoint)
        for one in (*hosted.variants, *hosted.shadows):
            if one.name == variant.name:
                return one.replicas
        raise variant_not_found(variant.name)
