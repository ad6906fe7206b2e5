"""What a person wants to ask about pictures: a model of this machine, or an endpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from clary.errors import FormatError, UsageError
from clary.formats.model_archive import locate_model
from clary.sdk.locations import endpoint_names, find_jobs, latest_of, nearest, resolve_model
from clary.settings import Settings

_SHOWN = 3


class Answerer(NamedTuple):
    """What a name stands for: the path of a model, and whether there is an endpoint of it."""

    model: Path | None
    is_endpoint: bool


def find_answerer(text: str, settings: Settings) -> Answerer:
    """What a person means; only the disk is asked, not the service.

    Args:
        text: a job's name or folder, `latest`, a `model.tar.gz`, a model folder, or an endpoint.
        settings: whose home is searched.

    Raises:
        UsageError: there is nothing of that name, or no model in it; what there is is said.
    """
    endpoints = endpoint_names(settings)
    try:
        location = resolve_model(text, settings, endpoints=endpoints)
        locate_model(str(location), settings.jobs_dir)
    except UsageError:
        if text not in endpoints:
            raise
    except FormatError as error:
        if text not in endpoints:
            raise UsageError(_without_model(text, error, endpoints, settings)) from error
    else:
        return Answerer(location, text in endpoints)
    return Answerer(None, True)


def _without_model(
    text: str, error: FormatError, endpoints: Sequence[str], settings: Settings
) -> str:
    """The sentence about a folder without a model, of which a mere word may not mean it at all."""
    if os.sep in text or text in {".", ".."} or text.startswith("~"):
        return str(error)
    jobs = [job for job in find_jobs(settings) if job.root.name.startswith(f"{text}-")]
    latest = latest_of(jobs)
    if latest is not None:
        there = f"the latest job of that name is {latest.root.name}"
    elif endpoints:
        there = nearest(text, endpoints, _listed(endpoints))
    else:
        there = f"`clary train {text}` makes one of pictures"
    return f"there is no endpoint and no job {text}, and the folder {text} holds no model: {there}"


def _listed(endpoints: Sequence[str]) -> str:
    if len(endpoints) == 1:
        return f"there is the endpoint {endpoints[0]}"
    more = f" and {len(endpoints) - _SHOWN} more" if len(endpoints) > _SHOWN else ""
    return f"there are the endpoints {', '.join(endpoints[:_SHOWN])}{more}"
