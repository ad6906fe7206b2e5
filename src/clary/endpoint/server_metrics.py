"""What the server counts, as Prometheus reads it.

The text format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import os
import resource
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How often a value fell under each of some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """As Prometheus reads it."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            label = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{name}_bucket{{le="{label}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {total}"


class ServerMetrics:
    """All counts of one server process. For one event loop, but for `count_batch`."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """Begin at 0.

        Args:
            labels: who this is.
        """
        self._labels = labels
        # Values that are asked for when they are read.
        self.gauges: dict[str, Callable[[], float]] = {}
        self._since = time.time()
        self.requests: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.pictures = 0
        self._latency = Histogram(_SECONDS)
        self._model = Histogram(_SECONDS)
        self._batches = Histogram(_SIZES)
        self._counting = threading.Lock()

    def count(self, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """Count an invocation that was answered."""
        self.requests[status] += 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self._latency.add(seconds)

    def count_model(self, seconds: float) -> None:
        """Count the time of the model for an invocation."""
        self._model.add(seconds)

    def count_batch(self, pictures: int) -> None:
        """Count what went through the network at once; on any thread."""
        with self._counting:
            self._batches.add(pictures)
            self.pictures += pictures

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in self._labels.items())
        yield from _head("clary_replica_info", "gauge", "What is served.")
        yield f"clary_replica_info{{{labels}}} 1"
        yield from _head("clary_invocations_total", "counter", "Invocations by HTTP status.")
        for status, count in sorted(self.requests.items()):
            yield f'clary_invocations_total{{status="{status}"}} {count}'
        yield from _head("clary_refused_total", "counter", "Not given to the model, by reason.")
        for reason, count in sorted(self.refused.items()):
            yield f'clary_refused_total{{reason="{_escaped(reason)}"}} {count}'
        for name, kind, meaning, value in (
            ("clary_request_bytes_total", "counter", "Bytes of bodies received.", self.bytes_in),
            ("clary_response_bytes_total", "counter", "Bytes of bodies sent.", self.bytes_out),
            ("clary_pictures_total", "counter", "Pictures classified.", self.pictures),
        ):
            yield from _head(name, kind, meaning)
            yield f"{name} {value}"
        for name, ask in self.gauges.items():
            yield from _head(name, "gauge", "At this moment.")
            yield f"{name} {ask():g}"
        for name, meaning, histogram in (
            ("clary_invocation_seconds", "From the first byte to the answer.", self._latency),
            ("clary_model_seconds", "In the model.", self._model),
            ("clary_batch_pictures", "Pictures that went through at once.", self._batches),
        ):
            yield from _head(name, "histogram", meaning)
            yield from histogram.lines(name)
        yield from self._process()

    def _process(self) -> Iterator[str]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield from _head("process_cpu_seconds_total", "counter", "CPU time of the server process.")
        yield f"process_cpu_seconds_total {used.ru_utime + used.ru_stime:.3f}"
        pages = Path("/proc/self/statm")
        if pages.exists():
            resident = int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            yield from _head("process_resident_memory_bytes", "gauge", "Memory of the process.")
            yield f"process_resident_memory_bytes {resident}"
        yield from _head("process_start_time_seconds", "gauge", "Seconds since 1970.")
        yield f"process_start_time_seconds {self._since:.3f}"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
