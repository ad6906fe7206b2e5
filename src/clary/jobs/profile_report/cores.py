"""How busy each core was over time, as a small picture: a row a core, a column a moment."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from clary.jobs.profile_report.envelopes import Window, envelope
from clary.jobs.profile_report.resources import core_series
from clary.profiler.profile import Host

COLUMNS = 240
MOST_CORES = 128
_COLOUR = (47, 147, 163)


@dataclass(frozen=True)
class CoresPicture:
    """`uri` is a PNG whose opacity is how busy a core was; `cores` rows."""

    host: str
    uri: str
    cores: int
    total: int


def cores_picture(host: Host, window: Window) -> CoresPicture | None:
    """The picture of a host; None where less than two cores were measured."""
    times, rows = core_series(host.system)
    if len(rows) < 2 or not len(times):
        return None
    opacity = np.zeros((min(len(rows), MOST_CORES), COLUMNS), np.uint8)
    for place, values in enumerate(rows[:MOST_CORES]):
        drawn = envelope(times, values, window, bins=COLUMNS)
        filled = np.interp(np.arange(COLUMNS), drawn.bins, drawn.mean, left=0.0, right=0.0)
        opacity[place] = np.clip(filled * 2.55, 0, 255).astype(np.uint8)
    pixels = np.empty((*opacity.shape, 4), np.uint8)
    pixels[..., :3] = _COLOUR
    pixels[..., 3] = opacity
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return CoresPicture(host.name, uri, len(opacity), len(rows))
