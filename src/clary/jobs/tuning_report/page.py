"""The page: all parts put into the templates, and one file written."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from clary.formats.files import write_text
from clary.formats.tuning_record import TuningRecord
from clary.jobs.pages.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from clary.jobs.pages.rendering import page_environment
from clary.jobs.tuning_report import slices as slicing
from clary.jobs.tuning_report.axes import number
from clary.jobs.tuning_report.findings import Findings, look
from clary.jobs.tuning_report.history import history
from clary.jobs.tuning_report.learning import learning_curves
from clary.jobs.tuning_report.parallel import parallel
from clary.jobs.tuning_report.tables import failure_rows, fixed_values, range_rows, trial_rows
from clary.jobs.tuning_report.verdict import judge

REPORT_FILE = "report.html"


def write_report(folder: Path, *, output: Path | None = None) -> Path:
    """Write everything known of a tuning job on one HTML page that needs no network.

    Args:
        folder: the folder with the record, `tuning.json`.
        output: the file to write; default is `report.html` in the folder.

    Returns:
        The file.

    Raises:
        FormatError: the record is missing or damaged.
        StorageError: the file cannot be written.
    """
    path = output or folder / REPORT_FILE
    write_text(path, render(TuningRecord.read(folder)))
    return path


def render(record: TuningRecord) -> str:
    """The page as HTML."""
    findings = look(record)
    environment = page_environment("clary.jobs.tuning_report")
    frame = {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "floor": HEIGHT - BOTTOM,
    }
    small = {
        "width": slicing.WIDTH,
        "height": slicing.HEIGHT,
        "left": slicing.LEFT,
        "right": slicing.WIDTH - slicing.RIGHT,
        "top": slicing.TOP,
        "floor": slicing.HEIGHT - slicing.BOTTOM,
    }
    return environment.get_template("tuning.html").render(
        record=record,
        findings=findings,
        objective=findings.objective,
        best=findings.best,
        verdict=judge(findings),
        figures=_figures(findings),
        ranges=range_rows(findings),
        history=history(findings),
        learning=learning_curves(findings),
        parallel=parallel(findings),
        slices=slicing.slices(findings),
        rows=trial_rows(findings),
        failures=failure_rows(findings),
        fixed=fixed_values(findings),
        usual_seconds=_usual_seconds(findings),
        said=_said(findings),
        frame=frame,
        small=small,
    )


def _figures(findings: Findings) -> tuple[tuple[str, str], ...]:
    """How many trials ended how, for the tiles: a count and what it counts."""
    early = sum(trial.early_stopped for trial in findings.record.trials)
    counts = (
        (len(findings.record.trials), "trials" if len(findings.record.trials) > 1 else "trial"),
        (early, "stopped early"),
        (len(findings.failed), "failed"),
        (len(findings.silent) + len(findings.stopped), "without a value"),
        (len(findings.running), "still running"),
    )
    return tuple((f"{count:,}", what) for count, what in counts if count)


def _usual_seconds(findings: Findings) -> float | None:
    """How long a trial took, in the middle; None where none is known."""
    known = [t.seconds for t in findings.record.trials if t.seconds is not None]
    return median(known) if known else None


def _said(findings: Findings) -> dict[str, list[str]]:
    """What the pointer shows of each trial, by its number: lines of text."""
    values = {one.trial.number: findings.objective.text(one.value) for one in findings.judged}
    said: dict[str, list[str]] = {}
    for trial in findings.record.trials:
        parameters = [
            f"{axis.name} {number(trial.parameters[axis.name])}"
            for axis in findings.axes
            if axis.name in trial.parameters
        ]
        outcome = values.get(trial.number, "failed" if trial.status == "Failed" else "no value")
        early = ", stopped early" if trial.early_stopped else ""
        said[str(trial.number)] = [f"trial {trial.number}: {outcome}{early}", *parameters]
    return said
