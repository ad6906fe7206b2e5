"""Two jobs beside each other: which is faster, by how much, and where the difference lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

from clary.jobs.pages.wording import percent
from clary.jobs.profile_report.job_bar import Part, job_bar
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.resources import Resource, resources
from clary.jobs.profile_report.step_bar import StepBar, step_bar
from clary.jobs.profile_report.words import PHASE_WORDS
from clary.profiler.wording import brief, number, times

# Differences below this are noise of any machine.
_SAME = 0.03
_UNKNOWN, _NONE = "–", "none"


@dataclass(frozen=True)
class Row:
    """A figure of both jobs; `factor` is the second's over the first's, `better` whether that is
    good; None where it is neither, or hardly differs.
    """

    label: str
    first: str
    second: str
    factor: str = ""
    better: bool | None = None


@dataclass(frozen=True)
class Side:
    """A job as its bars: each `scale` is its length as a part of the longer one's."""

    name: str
    parts: tuple[Part, ...]
    job_scale: float
    step: StepBar | None
    step_scale: float
    pictures: float | None


@dataclass(frozen=True)
class Comparison:
    """Both jobs, in figures and in what differs of their settings."""

    sentences: tuple[str, ...]
    sides: tuple[Side, Side]
    rows: tuple[Row, ...]
    settings: tuple[Row, ...]


def compare(first: Material, second: Material) -> Comparison:
    """Compare a job with another one.

    Args:
        first: the job that is looked at.
        second: what it is compared with.
    """
    return Comparison(
        sentences=tuple(_sentences(first, second)),
        sides=_sides(first, second),
        rows=tuple(_rows(first, second)),
        settings=tuple(_settings(first, second)),
    )


def _sentences(first: Material, second: Material) -> Iterator[str]:
    one, other = _speed(first), _speed(second)
    if one is None or other is None:
        yield "One of them has no training step, so that their speeds cannot be compared."
        return
    factor = other / one
    names = (first.name, second.name) if factor < 1 else (second.name, first.name)
    much = max(factor, 1 / factor)
    if much < 1 + _SAME:
        yield f"{first.name} and {second.name} train equally fast, within {percent(_SAME, 0)}."
    else:
        what = "pictures a second" if _per_picture(first, second) else "steps a second"
        yield (
            f"{names[0]} trains {times(much)} as fast as {names[1]}: {number(max(one, other))} "
            f"{what} against {number(min(one, other))}."
        )
    parts = _phase_seconds(first), _phase_seconds(second)
    key = max(PHASE_WORDS, key=lambda one: abs(parts[1].get(one, 0.0) - parts[0].get(one, 0.0)))
    before, after = parts[0].get(key, 0.0), parts[1].get(key, 0.0)
    if max(before, after) > 0 and abs(before - after) > _SAME * max(before, after):
        unit = "a picture" if _per_picture(first, second) else "a step"
        yield (
            f"Most of the difference is {PHASE_WORDS[key]}: {brief(before)} {unit} in "
            f"{first.name}, {brief(after)} in {second.name}."
        )


def _per_picture(first: Material, second: Material) -> bool:
    return bool(first.breakdown.pictures_per_s and second.breakdown.pictures_per_s)


def _speed(one: Material) -> float | None:
    if one.breakdown.pictures_per_s:
        return one.breakdown.pictures_per_s
    return 1 / one.breakdown.step_s if one.breakdown.step_s > 0 else None


def _phase_seconds(one: Material) -> dict[str, float]:
    """Seconds of each phase a picture, or a step where pictures were not counted."""
    broken = one.breakdown
    if not broken.steps:
        return {}
    pictures = (broken.pictures_per_s or 0.0) * broken.steps_s
    return {key: value / (pictures or broken.steps) for key, value in broken.phases_s.items()}


def _sides(first: Material, second: Material) -> tuple[Side, Side]:
    jobs = [one.breakdown.job_s for one in (first, second)]
    steps = [step_bar(one.profile) for one in (first, second)]
    longest_job = max(*jobs, 1e-9)
    longest_step = max(*(0.0 if one is None else one.seconds for one in steps), 1e-9)
    made = []
    for material, job_s, step in zip((first, second), jobs, steps, strict=True):
        bar = job_bar(material)
        broken = material.breakdown
        seen = (broken.pictures_per_s or 0.0) * broken.steps_s
        made.append(
            Side(
                name=material.name,
                parts=() if bar is None else bar.parts,
                job_scale=job_s / longest_job,
                step=step,
                step_scale=0.0 if step is None else step.seconds / longest_step,
                pictures=seen / broken.steps if broken.steps and seen else None,
            )
        )
    return made[0], made[1]


def _rows(first: Material, second: Material) -> Iterator[Row]:
    def row(
        label: str,
        value: Callable[[Material], float | None],
        text: Callable[[float], str],
        good: int = 0,
    ) -> Iterator[Row]:
        values = value(first), value(second)
        if any(values):
            yield _row(label, values, text, good)

    if first.breakdown.steps and second.breakdown.steps:
        yield from row("pictures a second", lambda m: m.breakdown.pictures_per_s, number, 1)
        yield from row("a training step, in the middle", lambda m: m.breakdown.step_s, brief, -1)
        for key, label in PHASE_WORDS.items():
            yield from row(f"  {label}", partial(_of_step, key), brief, -1)
    yield from row("training steps", lambda m: m.breakdown.steps, number)
    yield from row("from start to end", lambda m: m.breakdown.job_s, brief, -1)
    yield from row("initialization", lambda m: m.breakdown.initialization_s, brief, -1)
    yield from row("evaluation", lambda m: m.breakdown.evaluation_s, brief, -1)
    yield from row("checkpoints", lambda m: m.breakdown.checkpoint_s, brief, -1)
    held = [{f"{one.host} {one.key}": one for one in resources(m.profile)} for m in (first, second)]
    for key in held[0]:
        wanted = key.split(" ")[1].split(":")[0] in {"cpu", "gpu", "job_memory", "gpu_memory"}
        if wanted and key in held[1]:
            yield _resource_row(held[0][key], held[1][key])


def _of_step(key: str, material: Material) -> float | None:
    step = step_bar(material.profile)
    if step is None or key not in material.breakdown.phases_s:
        return None
    return next((one.seconds for one in step.phases if one.key == key), 0.0)


def _row(
    label: str,
    values: tuple[float | None, float | None],
    text: Callable[[float], str],
    good: int,
) -> Row:
    first, second = values
    texts = (
        _UNKNOWN if first is None else text(first) if first else _NONE,
        _UNKNOWN if second is None else text(second) if second else _NONE,
    )
    if not first or not second:
        return Row(label, *texts)
    factor = second / first
    better = None if not good or abs(factor - 1) < _SAME else (factor > 1) == (good > 0)
    return Row(label, *texts, factor=_as_much(factor), better=better)


def _as_much(factor: float) -> str:
    return f"{factor:.2f} ×" if factor < 0.995 else times(factor)


def _resource_row(first: Resource, second: Resource) -> Row:
    share = 1.0 if first.unit == "bytes" else 0.5
    label = f"{first.label}, {'at its peak' if share == 1.0 else 'in the middle'}"
    host = "" if first.host == "algo-1" else f"{first.host}: "
    return _row(f"{host}{label}", (first.quantile(share), second.quantile(share)), first.text, 0)


def _settings(first: Material, second: Material) -> Iterator[Row]:
    rows = [dict(_flat(one)) for one in (first, second)]
    if not all(rows):
        return
    for key in dict.fromkeys([*rows[0], *rows[1]]):
        left, right = rows[0].get(key, _UNKNOWN), rows[1].get(key, _UNKNOWN)
        if left != right:
            yield Row(key, left, right)


def _flat(material: Material) -> Iterator[tuple[str, str]]:
    """Settings of a job as names and texts."""
    facts = material.profile.facts
    if facts is None:
        return
    for key in ("program", "device", "framework", "precision", "threads", "batch_size", "epochs"):
        value = getattr(facts, key)
        if value not in (None, "", 0):
            yield key.replace("_", " "), str(value)
    if facts.train_loading is not None:
        for key, value in asdict(facts.train_loading).items():
            if value not in (None, "") and key != "decode_s":
                words = {True: "yes", False: "no"}
                text = words[value] if isinstance(value, bool) else str(value)
                yield f"loader: {key.replace('_', ' ')}", text
