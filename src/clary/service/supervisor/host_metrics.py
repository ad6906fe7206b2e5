"""What the processes of a host use, a value a minute, as CloudWatch shows it for instances.

Names and units are AWS's: CPUUtilization is the sum over cores (0 to 100 for each),
MemoryUtilization the part of the machine's memory, DiskUtilization of the disk that holds the
job, GPUUtilization and GPUMemoryUtilization the sum over GPUs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import psutil

from clary.service.state.metric_data import Datum, Metric
from clary.service.supervisor.gpu_use import gpu_use
from clary.service.supervisor.log_following import METRIC_NAMESPACE

WINDOW_MS = 60_000


class HostMetrics:
    """Samples the hosts of one job and gives a mean per minute. One thread at a time.

    Args:
        job: the job, or what else has hosts.
        directory: on the disk that they use.
        namespace: of the metrics.
        dimensions: of a host's metrics; its name within the job when None.
    """

    def __init__(
        self,
        job: str,
        directory: Path,
        namespace: str = METRIC_NAMESPACE,
        dimensions: Callable[[str], Mapping[str, str]] | None = None,
    ) -> None:
        self._namespace = namespace
        self._dimensions = dimensions or (lambda host: {"Host": f"{job}/{host}"})
        self._directory = directory
        self._window_ms = 0
        self._samples: dict[tuple[str, str], list[float]] = {}
        self._processes: dict[int, dict[psutil.Process, psutil.Process]] = {}

    def sample(self, hosts: Mapping[str, int], now_ms: int) -> list[Datum]:
        """Take a sample; give the means of the minute before when a new one begins.

        Args:
            hosts: by host name, the process above all its processes.
            now_ms: the time.
        """
        window_ms = now_ms // WINDOW_MS * WINDOW_MS
        means = self.means() if window_ms != self._window_ms else []
        self._window_ms = window_ms
        here = set(hosts.values())
        self._processes = {pid: tree for pid, tree in self._processes.items() if pid in here}
        for host, pid in hosts.items():
            for name, value in self._measured(pid).items():
                self._samples.setdefault((host, name), []).append(value)
        return means

    def means(self) -> list[Datum]:
        """The means of the samples since the last ones."""
        means = [
            Datum.of(
                Metric(self._namespace, name, self._dimensions(host)),
                self._window_ms,
                fmean(values),
                "Percent",
            )
            for (host, name), values in self._samples.items()
        ]
        self._samples = {}
        return means

    def _measured(self, root: int) -> dict[str, float]:
        cpu = memory = 0.0
        tree = self._tree(root)
        for process, new in tree:
            try:
                cpu += _cpu_since_start(process) if new else process.cpu_percent()
                memory += process.memory_percent("rss")
            except psutil.Error:
                continue
        if not tree:
            return {}
        values = {
            "CPUUtilization": cpu,
            "MemoryUtilization": min(memory, 100.0),
            "DiskUtilization": psutil.disk_usage(str(self._directory)).percent,
        }
        gpu = gpu_use({process.pid for process, _ in tree})
        if gpu is not None:
            values["GPUUtilization"] = gpu.utilization
            values["GPUMemoryUtilization"] = gpu.memory
        return values

    def _tree(self, root: int) -> list[tuple[psutil.Process, bool]]:
        """The processes, each with whether it was not there at the last sample."""
        try:
            above = psutil.Process(root)
            found = [above, *above.children(recursive=True)]
        except psutil.Error:
            return []
        known = self._processes.get(root, {})
        # Equal processes are the same one: psutil compares pid and start. The one that was
        # sampled before remembers its CPU time.
        tree = [known.get(process, process) for process in found]
        self._processes[root] = {process: process for process in tree}
        return [(process, process not in known) for process in tree]


def _cpu_since_start(process: psutil.Process) -> float:
    process.cpu_percent()
    times = process.cpu_times()
    age_s = max(time.time() - process.create_time(), 0.01)
    return float(100 * (times.user + times.system) / age_s)
