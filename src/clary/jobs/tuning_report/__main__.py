"""Write a tuning job's report: `python -m clary.jobs.tuning_report FOLDER [-o FILE] [--open]`."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from clary.jobs.program import ProgramParser, run_program


def main(arguments: Sequence[str]) -> int:
    """Write the report and print where it is; returns 0.

    Raises:
        ClaryError: the folder holds no record of a tuning job, or the report cannot be written.
    """
    parser = ProgramParser("tuning_report", __doc__)
    parser.add_argument("folder", type=Path, help="the folder with tuning.json")
    parser.add_argument("-o", "--output", type=Path, help="the HTML file to write")
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    options = parser.parse_args(arguments)

    from clary.jobs.tuning_report.page import write_report

    page = write_report(options.folder, output=options.output)
    print(page)
    if options.open:
        webbrowser.open(page.absolute().as_uri())
    return 0


if __name__ == "__main__":
    run_program(main)
