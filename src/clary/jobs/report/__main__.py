"""Write a job's report: `python -m clary.jobs.report JOB [-o FILE] [--open] [--rules-only]`."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from clary.errors import DataError
from clary.formats.job_directory import JobDirectory
from clary.jobs.program import ProgramParser, run_program
from clary.jobs.report.page import REPORT_FILE


def main(arguments: Sequence[str]) -> int:
    """Write the report and print where it is; returns 0.

    Raises:
        ClaryError: the directory is no job's, or the report cannot be written.
    """
    parser = ProgramParser("report", __doc__)
    parser.add_argument("job", type=Path, help="the job directory")
    parser.add_argument("-o", "--output", type=Path, help="the HTML file to write")
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    parser.add_argument(
        "--rules-only", action="store_true", help="put what rules found into a written report"
    )
    options = parser.parse_args(arguments)
    directory = JobDirectory(options.job.absolute())
    if not directory.output_data.is_dir():
        raise DataError(
            f"{options.job} is not a job directory (it has no output/data): give the folder that "
            "`clary train` named"
        )

    if options.rules_only:
        from clary.jobs.report.sections import refresh_sections

        refresh_sections(directory, options.output or directory.output_data / REPORT_FILE)
        return 0
    from clary.jobs.report.page import write_report

    page = write_report(directory, output=options.output)
    print(page)
    if options.open:
        webbrowser.open(page.absolute().as_uri())
    return 0


if __name__ == "__main__":
    run_program(main)
