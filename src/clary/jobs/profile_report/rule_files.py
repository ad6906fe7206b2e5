"""`profiler-reports/<Rule>.json`: a file for each rule, with SageMaker's keys.

    {"RuleTriggered": 3, "Violations": 3, "Datapoints": 240, "RuleParameters": "threshold:50\\n…",
     "Details": {…}, "Description": …, "Recommendation": …, "Findings": [{…}], "Report": {…}}

`Details` are the rule's own figures. `Report` is what the page draws that belongs to the rule, so
that the notebook beside it needs nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clary.formats.files import write_text
from clary.formats.profiler_rule_parameters import REPORTED_RULES, ProfilerParameters
from clary.jobs.profile_report.material import Material
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Judgement

_SHARED = frozenset(ProfilerParameters.model_fields)


def write_rule_files(folder: Path, material: Material, drawn: Mapping[str, Any]) -> None:
    """Write a file for each of `REPORTED_RULES`.

    Args:
        folder: `profiler-reports`.
        material: the job.
        drawn: what the page draws, by the rule it belongs to.

    Raises:
        StorageError: they cannot be written.
    """
    for name in REPORTED_RULES:
        content = rule_content(name, material)
        if name in drawn:
            content["Report"] = drawn[name]
        write_text(folder / f"{name}.json", json.dumps(plain(content), indent=1))


def rule_content(name: str, material: Material) -> dict[str, Any]:
    """What the file of a rule holds."""
    rule = BUILT_IN[name]
    judged = material.judgements.get(name, Judgement())
    return {
        "RuleTriggered": judged.triggered,
        "Violations": judged.triggered,
        "Datapoints": judged.datapoints,
        "RuleParameters": "\n".join(
            f"{key}:{value}" for key, value in rule_parameters(name, material).items()
        ),
        "Details": dict(judged.figures),
        "Description": rule.description,
        "Recommendation": rule.recommendation,
        "Findings": [one.model_dump(mode="json") for one in judged.findings],
    }


def rule_parameters(name: str, material: Material) -> dict[str, Any]:
    """What a rule was judged by: its own parameters, without those that all rules take."""
    held = material.parameters.get(name) or BUILT_IN[name]().parameters
    return {key: value for key, value in held.model_dump().items() if key not in _SHARED}


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers of numpy become Python's, NaN and infinite ones null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value
