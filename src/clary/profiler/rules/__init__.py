"""The rules of the profiler, by the names that SageMaker gives them.

What they share stands in `judging`: patience, windows, moments in words.
"""

from __future__ import annotations

from collections.abc import Mapping

from clary.profiler.rules.batch_size import BatchSize
from clary.profiler.rules.bottlenecks import CPUBottleneck, IOBottleneck
from clary.profiler.rules.dataloader import Dataloader
from clary.profiler.rules.gpu_memory_increase import GPUMemoryIncrease
from clary.profiler.rules.gpu_use import LoadBalancing, LowGPUUtilization
from clary.profiler.rules.max_initialization_time import MaxInitializationTime
from clary.profiler.rules.overall import OverallFrameworkMetrics, OverallSystemUsage
from clary.profiler.rules.rule import ProfilerRule
from clary.profiler.rules.step_outlier import StepOutlier

BUILT_IN: Mapping[str, type[ProfilerRule]] = {
    rule.__name__: rule
    for rule in (
        BatchSize,
        CPUBottleneck,
        Dataloader,
        GPUMemoryIncrease,
        IOBottleneck,
        LoadBalancing,
        LowGPUUtilization,
        MaxInitializationTime,
        OverallFrameworkMetrics,
        OverallSystemUsage,
        StepOutlier,
    )
}
"""What `rule_to_invoke` may name, but for ProfilerReport, which runs all of these."""
