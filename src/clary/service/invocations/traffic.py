"""What goes through the endpoints now, and what went lately."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Sequence

# Alarms of autoscaling look back over a few minutes.
KEPT_MS = 20 * 60_000
_BUCKET_MS = 1000


class Traffic:
    """Counts invocations: open ones by replica, begun ones by variant. Any thread may call.

    Kept in memory only: after a restart of the service nothing is open, and autoscaling begins
    to count anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        # By endpoint and variant: (bucket's begin, count), oldest first.
        self._begun: dict[tuple[str, str], deque[tuple[int, int]]] = {}
        self._last_ms: dict[tuple[str, str], int] = {}

    def begin(self, instance: str) -> None:
        """A request goes to a replica."""
        with self._lock:
            self._open[instance] += 1

    def begin_at_least(self, instances: Sequence[str]) -> str:
        """A request goes to the replica that holds the fewest; which one that is.

        Args:
            instances: at least one; of those that hold as many, any.
        """
        with self._lock:
            fewest = min(self._open.get(instance, 0) for instance in instances)
            chosen = random.choice(
                [instance for instance in instances if self._open.get(instance, 0) == fewest]
            )
            self._open[chosen] += 1
        return chosen

    def end(self, instance: str) -> None:
        """A request to a replica has come to its end, whichever."""
        with self._lock:
            self._open[instance] -= 1
            if self._open[instance] <= 0:
                del self._open[instance]

    def outstanding(self, instance: str) -> int:
        """How many requests a replica holds."""
        with self._lock:
            return self._open.get(instance, 0)

    def note(self, endpoint: str, variant: str, at_ms: int) -> None:
        """Count an invocation of a variant, at a time in milliseconds since 1970."""
        begin_ms = at_ms // _BUCKET_MS * _BUCKET_MS
        with self._lock:
            key = endpoint, variant
            self._last_ms[key] = max(at_ms, self._last_ms.get(key, 0))
            buckets = self._begun.setdefault(key, deque())
            if buckets and buckets[-1][0] >= begin_ms:
                newest_ms, count = buckets.pop()
                buckets.append((newest_ms, count + 1))
            else:
                buckets.append((begin_ms, 1))
            while buckets[0][0] < begin_ms - KEPT_MS:
                buckets.popleft()

    def last_ms(self, endpoint: str, variant: str) -> int | None:
        """When a variant was last invoked; None when it was not since the service started."""
        with self._lock:
            return self._last_ms.get((endpoint, variant))

    def invocations(self, endpoint: str, variant: str, begin_ms: int, end_ms: int) -> int:
        """How often a variant was invoked in [begin, end), of the last `KEPT_MS`; to the second."""
        with self._lock:
            buckets = self._begun.get((endpoint, variant), ())
            return sum(count for at_ms, count in buckets if begin_ms <= at_ms < end_ms)

    def forget(self, endpoint: str) -> None:
        """An endpoint is gone: one that is called so later begins without a past."""
        with self._lock:
            for known in (self._begun, self._last_ms):
                for key in [key for key in known if key[0] == endpoint]:
                    del known[key]
