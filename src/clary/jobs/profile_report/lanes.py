"""The job over time: curves above each other that share one axis, so that causes can be seen.

Shapes are drawn into a field of 1000 × 100 that the page stretches; texts are the page's own, so
that they stay readable at any width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from clary.jobs.pages.drawing import ticks
from clary.jobs.pages.wording import duration
from clary.jobs.profile_report.envelopes import BINS, Envelope, Floats, Window, envelope
from clary.jobs.profile_report.resources import Resource, Unit, in_unit
from clary.profiler.wording import brief

WIDTH, HEIGHT = 1000.0, 100.0
MOST_HOSTS = 4
_GPU_TONES = 4
# Traffic below this is nothing to draw.
_SILENCE_BYTES = 20e3


@dataclass(frozen=True)
class Tick:
    """A position on an axis as a share of it, and what stands there."""

    place: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A line with its extremes around it, or a filled layer; `value` stands in the legend."""

    label: str
    tone: str
    value: str
    line: str = ""
    area: str = ""


@dataclass(frozen=True)
class Lane:
    """A figure over the job's time. `pointed` are the texts that the pointer shows, by curve: one
    for each of `BINS` stretches of time, None where nothing was measured.
    """

    title: str
    curves: tuple[Curve, ...]
    ticks: tuple[Tick, ...]
    pointed: tuple[tuple[str | None, ...], ...]
    note: str = ""
    kind: str = "resource"


@dataclass(frozen=True)
class HostLanes:
    """The lanes of a host."""

    host: str
    lanes: tuple[Lane, ...] = field(default_factory=tuple)


def host_lanes(measured: Sequence[Resource], window: Window) -> tuple[HostLanes, ...]:
    """The machine's curves, of the first `MOST_HOSTS` hosts."""
    hosts = list(dict.fromkeys(one.host for one in measured))[:MOST_HOSTS]
    return tuple(
        HostLanes(host, tuple(_lanes({r.key: r for r in measured if r.host == host}, window)))
        for host in hosts
    )


def time_ticks(window: Window, most: int = 6) -> tuple[Tick, ...]:
    """Round moments since the start."""
    unit = 1.0 if window.seconds < 180 else 60.0 if window.seconds < 3 * 3600 else 3600.0
    moments = [one * unit for one in ticks(0.0, window.seconds / unit, most)]
    return tuple(Tick(one / window.seconds, _moment(one)) for one in moments)


def _moment(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s" if seconds else "0"
    return duration(seconds).removesuffix(" 0 min")


def _lanes(held: dict[str, Resource], window: Window) -> list[Lane]:
    held = {**held, **_together(held, "gpu:"), **_together(held, "gpu_memory:")}
    gpus = _drawn_gpus(held, "gpu:")
    memories = _drawn_gpus(held, "gpu_memory:")
    groups: list[tuple[str, list[tuple[str, str, str]]]] = [
        ("GPU", [(key, _gpu(held[key]), f"gpu{n % _GPU_TONES}") for n, key in enumerate(gpus)]),
        ("GPU memory", [
            (key, _gpu(held[key]), f"gpu{n % _GPU_TONES}") for n, key in enumerate(memories)
        ]),
        ("CPU", [
            ("cpu", "machine", "machine"), ("job_cpu", "this job", "job"),
            ("io", "waiting for disks", "io"),
        ]),
        ("Memory", [("memory", "machine", "machine")]),
        ("Memory of this job", [("job_memory", "resident", "job")]),
        ("Disk", [("disk_read", "read", "job"), ("disk_written", "written", "io")]),
        ("Network", [("received", "received", "job"), ("sent", "sent", "io")]),
    ]  # fmt: skip
    found = []
    for title, wanted in groups:
        shown = [(held[key], label, tone) for key, label, tone in wanted if key in held]
        lane = _lane(title, shown, window) if shown else None
        if lane is not None:
            found.append(lane)
    return found


def _drawn_gpus(held: dict[str, Resource], kind: str) -> list[str]:
    found = [key for key in held if key.startswith(kind)]
    return found if len(found) <= _GPU_TONES else [f"{kind}all"]


def _together(held: dict[str, Resource], kind: str) -> dict[str, Resource]:
    """All GPUs of a host as one series, where they are too many for a line each."""
    found = [one for key, one in held.items() if key.startswith(kind)]
    if len(found) <= _GPU_TONES:
        return {}
    times = np.concatenate([one.times_s for one in found])
    order = np.argsort(times, kind="stable")
    values = np.concatenate([one.values for one in found])[order]
    label = f"all {len(found)}"
    return {f"{kind}all": replace(found[0], label=label, times_s=times[order], values=values)}


def _gpu(resource: Resource) -> str:
    return resource.label.removesuffix(" memory")


def _lane(title: str, shown: list[tuple[Resource, str, str]], window: Window) -> Lane | None:
    unit = shown[0][0].unit
    envelopes = [envelope(one.times_s, one.values, window) for one, _, _ in shown]
    highest = max((float(one.high.max()) for one in envelopes if len(one)), default=0.0)
    if not any(len(one) for one in envelopes):
        return None
    if unit == "bytes a second" and highest < _SILENCE_BYTES:
        return None
    high = 100.0 if unit == "percent" else highest * 1.08 or 1.0
    curves, pointed = [], []
    for (resource, label, tone), drawn in zip(shown, envelopes, strict=True):
        value = resource.text(float(np.mean(resource.values)))
        area = area_path(drawn, drawn.low, drawn.high, high)
        curves.append(Curve(label, tone, value, _line(drawn, high), area))
        pointed.append(
            stretch_texts(drawn, [_pair(resource.unit, *pair) for pair in _pairs(drawn)])
        )
    kind = "main" if title in {"CPU", "GPU"} else "resource"
    return Lane(title, tuple(curves), axis_ticks(high, unit), tuple(pointed), kind=kind)


def _pairs(drawn: Envelope) -> list[tuple[float, float]]:
    return list(zip(drawn.mean.tolist(), drawn.high.tolist(), strict=True))


def _pair(unit: Unit, mean: float, high: float) -> str:
    """The mean of a stretch, and its highest where that says more."""
    text, most = in_unit(mean, unit), in_unit(high, unit)
    return text if text == most or high < 1.1 * mean else f"{text} ↑{most}"


def stretch_texts(drawn: Envelope, texts: Sequence[str]) -> tuple[str | None, ...]:
    """What the pointer shows in each of `BINS` stretches: texts of those with a value."""
    found: list[str | None] = [None] * BINS
    for place, text in zip(drawn.bins.tolist(), texts, strict=True):
        found[place] = text
    return tuple(found)


def axis_ticks(high: float, unit: Unit | Literal["seconds"]) -> tuple[Tick, ...]:
    """Of an upright axis from 0 to `high`."""
    if unit == "percent":
        return (Tick(0.0, "100 %"), Tick(0.5, "50"), Tick(1.0, "0"))
    values = [one for one in ticks(0.0, high, 3) if one > 0][-2:]
    texts = [brief(one) if unit == "seconds" else in_unit(one, unit) for one in values]
    marks = [Tick(1 - one / high, text) for one, text in zip(values, texts, strict=True)]
    return (*reversed(marks), Tick(1.0, "0"))


def _line(drawn: Envelope, high: float) -> str:
    parts: list[str] = []
    for at, value, broken in zip(drawn.at, drawn.mean, drawn.breaks, strict=True):
        parts.append(f"{'L' if parts and not broken else 'M'}{_x(at)} {field_y(value, high)}")
    return "".join(parts)


def area_path(drawn: Envelope, low: Floats, top: Floats, high: float) -> str:
    """The path around what lies between two heights of each stretch, both (n,)."""
    parts = []
    edges = [0, *np.flatnonzero(drawn.breaks).tolist(), len(drawn)]
    for begin, end in pairwise(edges):
        if end <= begin:
            continue
        there = [f"{_x(drawn.at[k])} {field_y(top[k], high)}" for k in range(begin, end)]
        back = [f"{_x(drawn.at[k])} {field_y(low[k], high)}" for k in range(end - 1, begin - 1, -1)]
        parts.append(f"M{'L'.join([*there, *back])}Z")
    return "".join(parts)


def _x(share: float) -> str:
    return f"{WIDTH * share:.0f}"


def field_y(value: float, high: float) -> str:
    """Where a value lies upright, on an axis from 0 to `high`."""
    share = min(max(value / high, 0.0), 1.0)
    return f"{HEIGHT * (1 - share):.1f}".removesuffix(".0")
