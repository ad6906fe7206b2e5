"""Show where a job's time went: `python -m clary.jobs.profile FOLDER… [--against FOLDER…]`."""

from __future__ import annotations

import sys
import time
import webbrowser
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clary.errors import DataError, UsageError
from clary.jobs.program import ProgramParser, run_program

if TYPE_CHECKING:
    from clary.jobs.profile_report.material import Material
    from clary.profiler.profile import Profile

PAGE_FILE = "profile.html"
COMPARISON_FILE = "profile-comparison.html"
# A job of which nothing was written for so long is over, whatever became of it.
_SILENCE_S = 150.0


def main(arguments: Sequence[str]) -> int:
    """Show a summary, and write the page; returns 0.

    Raises:
        ClaryError: options exclude each other, a folder holds nothing that was recorded, or a
            file cannot be written.
    """
    options = _parse(arguments)
    from rich.console import Console

    from clary.jobs.profile_report import write_page
    from clary.jobs.profile_summary import print_page, print_summary

    material = _material(options.folders, options.name, options.started, options.ended)
    against = None
    if options.against:
        against = _material(
            options.against,
            options.against_name,
            options.against_started,
            options.against_ended,
        )
    console = Console(highlight=False)
    print_summary(console, material, against)
    if options.trace is not None:
        from clary.profiler.trace import write_chrome_trace

        write_chrome_trace(material.profile, options.trace)
        console.print(f"trace: {options.trace} (open it at ui.perfetto.dev)", soft_wrap=True)
    if options.no_page:
        return 0
    name = PAGE_FILE if against is None else COMPARISON_FILE
    page = write_page(material, options.output or options.folders[0] / name, against=against)
    print_page(console, page)
    if options.open:
        webbrowser.open(page.absolute().as_uri())
    return 0


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = ProgramParser("profile", __doc__)
    parser.add_argument(
        "folders", type=Path, nargs="+", help="the profiler's folder of each host, the first first"
    )
    parser.add_argument("--against", type=Path, nargs="+", help="those of a job to compare it with")
    parser.add_argument("--name", default="", help="the job's name")
    parser.add_argument("--against-name", default="", help="the other job's name")
    for option, what in (("--started", "began"), ("--ended", "ended")):
        parser.add_argument(option, type=float, help=f"when it {what}, in seconds since 1970")
        parser.add_argument(f"--against-{option[2:]}", type=float, help=f"when the other {what}")
    parser.add_argument("-o", "--output", type=Path, help="the HTML file to write")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--no-page", action="store_true", help="write no page")
    parser.add_argument("--trace", type=Path, help="write a Chrome trace, which Perfetto opens")
    options = parser.parse_args(arguments)
    if options.no_page and (options.open or options.output):
        parser.error("--no-page excludes --open and --output")
    for option, target in (("--output", options.output), ("--trace", options.trace)):
        if target is not None and target.is_dir():
            raise UsageError(f"{option} is {target}, a folder: give the file to write")
    return options


def _material(
    folders: Sequence[Path], name: str, started_s: float | None, ended_s: float | None
) -> Material:
    from clary.jobs.profile_report.material import gather
    from clary.profiler.profile import JobTimes, Profile
    from clary.profiler.rules import BUILT_IN
    from clary.profiler.rules.rule import Moment

    for folder in folders:
        if not folder.is_dir():
            raise DataError(
                f"there is no folder {folder}: give what `clary exec --profile` or a job's "
                "profiler wrote to"
            )
    profile = Profile.open(folders, JobTimes(name or folders[0].absolute().name, started_s))
    bounds = profile.bounds
    if bounds is None:
        raise DataError(
            f"{folders[0]} holds nothing that a profiler recorded: `clary train` records by "
            "itself, `clary exec --profile -- COMMAND` does it for any script"
        )
    ended = _ended(profile) if ended_s is None else ended_s
    profile.job = replace(profile.job, ended_s=ended)
    moment = Moment(bounds[1] if ended is None else ended, ended=ended is not None)
    judgements = {rule: kind().judge(profile, moment) for rule, kind in BUILT_IN.items()}
    return gather(profile, judgements)


def _ended(profile: Profile) -> float | None:
    """When a job ended of which nobody has said it: None where it may still be running."""
    bounds, facts = profile.bounds, profile.facts
    if bounds is None:
        return None
    if facts is not None and facts.ended_us is not None:
        return max(facts.ended_us / 1e6, bounds[1])
    return bounds[1] if time.time() - bounds[1] > _SILENCE_S else None


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    run_program(main)
