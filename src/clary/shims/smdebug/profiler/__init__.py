"""What the profiler has measured, as notebooks read it.

    smdebug.profiler.analysis.notebook_utils    jobs and charts
    smdebug.profiler.analysis.utils             tables, merged timelines
    smdebug.profiler.system_metrics_reader      the machine's metrics
    smdebug.profiler.algorithm_metrics_reader   steps and phases
    smdebug.profiler.utils                      moments and their units; what scripts parse with

A training script imports `smdebug.profiler.utils` alone: nothing heavy is loaded with it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from . import conversions

# AWS's name of the module.
utils = conversions
sys.modules[f"{__name__}.utils"] = conversions

_NAMES = {
    "LocalAlgorithmMetricsReader": "algorithm_metrics_reader",
    "S3AlgorithmMetricsReader": "algorithm_metrics_reader",
    "MetricsReaderBase": "metrics_reader_base",
    "LocalSystemMetricsReader": "system_metrics_reader",
    "S3SystemMetricsReader": "system_metrics_reader",
    "ProfilerSystemEvent": "system_profiler_file_parser",
    "TraceEvent": "trace_event_file_parser",
}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(
            f"smdebug.profiler has no {name}: it offers {', '.join(sorted(_NAMES))}"
        )
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
