"""The rules of the profiler, by the names that SageMaker gives them.

A file each; what they share stands in `judging` (patience, windows, moments in words).
"""

from __future__ import annotations

from collections.abc import Mapping

from clary.profiler.rules.rule import ProfilerRule

BUILT_IN: Mapping[str, type[ProfilerRule]] = {}
"""What `rule_to_invoke` may name, but for ProfilerReport, which runs all of these."""
