"""`clary profile`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import boto3
from cyclopts import Parameter

from clary.cli.parser import Switch
from clary.errors import UsageError
from clary.sdk.locations import LATEST
from clary.sdk.processes import run_job_program
from clary.sdk.profile_places import (
    ProfilePlace,
    fetch_job_profile,
    fetch_profile,
    find_profile,
)
from clary.sdk.session import Session
from clary.settings import Settings


def profile(
    job: str = LATEST,
    other: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    open: Switch = False,  # noqa: A002 - the option's name
    no_page: Switch = False,
    trace: Path | None = None,
    aws: Switch = False,
) -> int:
    """Show where a job's time went: what holds it back, what to change, and a page with the rest.

    Args:
        job: A job's name, its folder, or latest; the folder that `clary exec --profile` named; or
            an S3 URI of a job's profiler-output, read with the keys of the environment.
        other: A second one to compare it with.
        output: The page's file; in the job's folder by default.
        open: Show the page in a browser.
        no_page: Write no page.
        trace: Write a Chrome trace into this file, for https://ui.perfetto.dev; compressed where
            its name ends in .gz.
        aws: The jobs are AWS's, in the account of the environment.

    Raises:
        UsageError: there is no such job, it was not profiled, or options exclude each other.
        DataError: there is no such folder, or nothing was recorded in it.
        StorageError: S3 refuses, or a file cannot be written.
        ServiceError: AWS refuses or does not answer.
    """
    for given, option in ((open, "--open"), (output is not None, "--output")):
        if no_page and given:
            raise UsageError(f"{option} is about the page: leave it out, or --no-page")
    with TemporaryDirectory(prefix="clary-profile-") as scratch:
        found = _find(job, Path(scratch) / "1", aws=aws)
        compared = None if other is None else _find(other, Path(scratch) / "2", aws=aws)
        words = list(_places(found, compared))
        if no_page:
            words.append("--no-page")
        else:
            words += ["--output", str(output or _page(found, compared))]
        if open:
            words.append("--open")
        if trace is not None:
            words += ["--trace", str(trace)]
        return run_job_program("profile", words)


def _find(text: str, scratch: Path, *, aws: bool) -> ProfilePlace:
    if text.startswith("s3://"):
        return fetch_profile(Session(boto3.Session()), text, scratch)
    if aws:
        return fetch_job_profile(Session(boto3.Session()), text, scratch)
    return find_profile(text, Settings.from_environment())


def _places(found: ProfilePlace, other: ProfilePlace | None) -> Iterator[str]:
    yield from map(str, found.folders)
    for place, before in ((found, "--"), (other, "--against-")):
        if place is None:
            continue
        if place is other:
            yield from ("--against", *map(str, place.folders))
        yield from (f"{before}name", place.name)
        for moment, word in ((place.started_s, "started"), (place.ended_s, "ended")):
            if moment is not None:
                yield from (f"{before}{word}", f"{moment:.3f}")


def _page(found: ProfilePlace, other: ProfilePlace | None) -> Path:
    page = found.page or found.folders[0] / "profile.html"
    return page if other is None else page.with_name(f"{page.stem}-{other.name}{page.suffix}")
