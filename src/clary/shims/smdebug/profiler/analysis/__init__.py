"""Jobs, charts and tables of what the profiler has measured.

notebook_utils              `TrainingJob` and the charts, which need matplotlib
utils                       tables, which need pandas; merged timelines
python_profile_analysis     functions of chosen steps
"""

from __future__ import annotations

import sys

from . import frames
from .frames import (
    merge_timelines,
    pandas_data_analysis,
    profiler_data_to_pandas,
    python_profile_analysis_utils,
    pytorch_dataloader_analysis,
)

# AWS's name of the package. Its modules have one identity, by whichever name they are imported.
utils = frames
sys.modules[f"{__name__}.utils"] = frames
for _module in (
    merge_timelines,
    pandas_data_analysis,
    profiler_data_to_pandas,
    python_profile_analysis_utils,
    pytorch_dataloader_analysis,
):
    sys.modules[f"{__name__}.utils.{_module.__name__.rpartition('.')[2]}"] = _module
