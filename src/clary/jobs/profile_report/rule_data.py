"""What the page draws as numbers, by the rule that it belongs to: `Report` in the rules' files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clary.jobs.profile_report.envelopes import envelope
from clary.jobs.profile_report.job_bar import job_window, stretches
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.page import Drawn
from clary.jobs.profile_report.resources import QUANTILES, Resource

CURVE_BINS = 200
_FIGURES = 4


def rule_data(material: Material, drawn: Drawn) -> Mapping[str, Any]:
    """All of it, by the rule's name; seconds since the job's start, and seconds."""
    return {
        "OverallSystemUsage": {
            "usage": [_usage(one) for one in drawn.resources],
            "curves": [_curve(one, material) for one in drawn.resources],
        },
        "OverallFrameworkMetrics": _framework(material, drawn),
        "StepOutlier": {
            "steps": [
                {
                    "process": one.worker,
                    "mode": one.mode.name,
                    "steps": one.count,
                    "mean_s": one.mean_s,
                    **dict(zip((name for name, _ in QUANTILES), one.quantiles_s, strict=True)),
                }
                for one in drawn.step_rows
            ],
            "histograms": {name: asdict(one) for name, one in drawn.histograms},
            "outliers": None if drawn.outliers is None else asdict(drawn.outliers),
        },
        "Dataloader": asdict(drawn.loading),
        "GPUMemoryIncrease": {"memory": [asdict(one) for one in drawn.memory]},
        "MaxInitializationTime": {"initialization_s": material.breakdown.initialization_s},
    }


def _framework(material: Material, drawn: Drawn) -> dict[str, Any]:
    start = material.started_s or 0.0
    return {
        "job": material.name,
        "over": material.over,
        "headline": drawn.headline.text,
        "verdict": list(material.sentences),
        "diagnoses": [asdict(one) for one in material.diagnoses],
        "times": dict(drawn.times),
        "facts": dict(drawn.facts),
        "breakdown": asdict(material.breakdown),
        "parts": [] if drawn.bar is None else [asdict(one) for one in drawn.bar.parts],
        "stretches": {
            kind: [[begin - start, end - start] for begin, end in held[:1000]]
            for kind, held in stretches(material.profile).items()
        },
        "step": [] if drawn.step is None else [asdict(one) for one in drawn.step.phases],
        "operators": None if drawn.operators is None else asdict(drawn.operators),
        "functions": None if drawn.functions is None else asdict(drawn.functions),
    }


def _usage(one: Resource) -> dict[str, Any]:
    row = {"host": one.host, "resource": one.label, "unit": one.unit}
    return row | {name: one.quantile(share) for name, share in QUANTILES}


def _curve(one: Resource, material: Material) -> dict[str, Any]:
    window = job_window(material)
    assert window is not None
    drawn = envelope(one.times_s, one.values, window, bins=CURVE_BINS)
    columns = {"at_s": drawn.at * window.seconds, "low": drawn.low, "mean": drawn.mean,
               "high": drawn.high}  # fmt: skip
    rounded = {
        name: [float(f"{value:.{_FIGURES}g}") for value in values]
        for name, values in columns.items()
    }
    return {"host": one.host, "resource": one.label, "unit": one.unit, **rounded}
