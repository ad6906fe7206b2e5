"""Jobs, charts and tables of what the profiler has measured.

notebook_utils              `TrainingJob` and the charts, which need matplotlib
utils                       tables, which need pandas; merged timelines
python_profile_analysis     functions of chosen steps
"""

from __future__ import annotations

import sys

from . import frames

# AWS's name of the package.
utils = frames
sys.modules[f"{__name__}.utils"] = frames
