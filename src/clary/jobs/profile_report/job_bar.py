"""The job as one bar: initialization, training loop, finalization, and what went on within."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clary.formats.timeline import Mode
from clary.jobs.profile_report.envelopes import Floats, Window, coverage, merged_stretches
from clary.jobs.profile_report.material import Material
from clary.profiler.profile import Profile

Stretch = tuple[float, float]

# Steps of an evaluation with less than so many seconds between them belong to one.
_SAME_EVALUATION_S = 1.0
_SHADES = 12


@dataclass(frozen=True)
class Piece:
    """A part of the bar: from `at`, so `wide` (0 to 1 of the bar), and how strongly drawn."""

    at: float
    wide: float
    strength: float = 1.0


@dataclass(frozen=True)
class Part:
    """A row of the legend: `seconds` of the job, in so many pieces; None where it is one."""

    kind: str
    seconds: float
    share: float
    count: int | None = None


@dataclass(frozen=True)
class JobBar:
    """`ground` fills the bar; `within` lies on it, by kind."""

    ground: tuple[tuple[str, Piece], ...]
    within: tuple[tuple[str, tuple[Piece, ...]], ...]
    parts: tuple[Part, ...]


def job_window(material: Material) -> Window | None:
    """The time that all figures share; None where nothing is known."""
    if material.started_s is None or material.ended_s is None:
        return None
    return Window(material.started_s, material.ended_s)


def job_bar(material: Material) -> JobBar | None:
    """The job's bar; None where nothing is known of it."""
    window = job_window(material)
    if window is None:
        return None
    broken = material.breakdown
    begun = window.start_s + broken.initialization_s
    done = begun + broken.loop_s
    ground = []
    for kind, start, end in (
        (_beginning(material), window.start_s, begun),
        ("training", begun, done),
        ("finalization", done, max(done, window.end_s)),
    ):
        wide = window.share(end) - window.share(start)
        if wide > 0:
            ground.append((kind, Piece(window.share(start), wide)))
    held = stretches(material.profile)
    within = [
        (kind, pieces(coverage(held[kind], window)))
        for kind in ("features", "evaluation", "checkpoint")
        if held[kind]
    ]
    return JobBar(tuple(ground), tuple(within), _parts(material, held))


def _beginning(material: Material) -> str:
    """What came before the first step: all of a program that takes none is no initialization."""
    trains = material.profile.facts is not None and not material.over
    return "initialization" if material.breakdown.loop_s or trains else "running"


def stretches(profile: Profile) -> dict[str, list[Stretch]]:
    """When features were computed, when was evaluated, when a checkpoint was written."""
    found: dict[str, list[Stretch]] = {"features": [], "evaluation": [], "checkpoint": []}
    for span in profile.spans:
        if span.kind in found:
            found[span.kind].append((span.start_us / 1e6, span.end_us / 1e6))
    if not found["evaluation"]:
        found["evaluation"] = _evaluations(profile)
    return {kind: merged_stretches(held) for kind, held in found.items()}


def pieces(covered: Floats) -> tuple[Piece, ...]:
    """What is covered of a bar as pieces, neighbours alike drawn as one.

    Args:
        covered: (bins,) how much of each part is covered, 0 to 1.
    """
    shades = [round(float(one) * _SHADES) if one < 0.02 else max(1, round(float(one) * _SHADES))
              for one in covered]  # fmt: skip
    found, begin = [], 0
    for place in range(1, len(shades) + 1):
        if place < len(shades) and shades[place] == shades[begin]:
            continue
        if shades[begin]:
            strength = shades[begin] / _SHADES
            found.append(Piece(begin / len(shades), (place - begin) / len(shades), strength))
        begin = place
    return tuple(found)


def _evaluations(profile: Profile) -> list[Stretch]:
    steps = profile.steps(Mode.EVAL)
    starts = steps["start_us"] / 1e6
    found: list[Stretch] = []
    for start, seconds in zip(starts.tolist(), steps["seconds"].tolist(), strict=True):
        if found and start - found[-1][1] < _SAME_EVALUATION_S:
            found[-1] = (found[-1][0], start + seconds)
        else:
            found.append((start, start + seconds))
    return found


def _parts(material: Material, held: dict[str, list[Stretch]]) -> tuple[Part, ...]:
    broken = material.breakdown
    whole = max(broken.job_s, 1e-9)
    beside = broken.evaluation_s + broken.checkpoint_s + broken.features_s
    rows: Sequence[tuple[str, float, int | None]] = (
        (_beginning(material), broken.initialization_s, None),
        ("features", broken.features_s, len(held["features"])),
        ("training", max(broken.loop_s - beside, 0.0), None),
        ("evaluation", broken.evaluation_s, len(held["evaluation"])),
        ("checkpoint", broken.checkpoint_s, len(held["checkpoint"])),
        ("finalization", broken.finalization_s, None),
    )
    return tuple(
        Part(kind, seconds, seconds / whole, count) for kind, seconds, count in rows if seconds > 0
    )
