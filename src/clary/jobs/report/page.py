"""The page: all parts put into the templates, and one file written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clary.formats.files import write_text
from clary.formats.job_directory import JobDirectory
from clary.jobs.report import confusion
from clary.jobs.report.card import option_text, write_card
from clary.jobs.report.curves import learning_curves
from clary.jobs.report.material import Material, gather
from clary.jobs.report.pictures import Gallery, draw_gallery
from clary.jobs.report.reliability import reliability_diagram
from clary.jobs.report.sections import report_environment, section_values
from clary.jobs.report.verdict import judge, weakest
from clary.settings import Settings
from clary.vision.datasets.dataset import PictureDataset

REPORT_FILE = "report.html"


def write_report(
    directory: JobDirectory,
    *,
    output: Path | None = None,
    dataset: PictureDataset | None = None,
    settings: Settings | None = None,
) -> Path:
    """Write everything known of a run on one HTML page that needs no network.

    Whatever is missing, as in a run that failed or whose pictures have moved, is said in a
    sentence on the page.

    Args:
        directory: the job.
        output: the file to write; default is `output/data/report.html` of the job.
        dataset: the job's data set where it is open already; it is opened again otherwise.
        settings: where caches live; read from the environment when not given.

    Returns:
        The file.

    Raises:
        StorageError: the file cannot be written.
        UsageError: the environment's settings cannot be used.
    """
    material = gather(directory)
    gallery = draw_gallery(material, dataset, settings or Settings.from_environment())
    path = output or directory.output_data / REPORT_FILE
    write_text(path, render(material, gallery))
    return path


def render(material: Material, gallery: Gallery) -> str:
    """The page as HTML."""
    environment = report_environment()
    environment.filters.update(option=option_text)
    return environment.get_template("report.html").render(
        material=material,
        gallery=gallery,
        verdict=judge(material),
        card=write_card(material),
        charts=learning_curves(material.epochs, material.best_epoch) if material.epochs else (),
        **section_values(material.directory),
        counts={name: material.counts(name) for name in _splits(material)},
        **_judged(material),
    )


def _judged(material: Material) -> dict[str, Any]:
    evaluation = material.evaluation
    if evaluation is None:
        return {"evaluation": None}
    table = confusion.whole_table(evaluation)
    picture = None if table else confusion.overview(evaluation)
    order = sorted(
        range(len(evaluation.classes)),
        key=lambda k: (evaluation.classes[k].recall is None, evaluation.classes[k].recall or 0.0),
    )
    taken_for: dict[int, str] = {}
    for true, predicted, _ in sorted(evaluation.confusion, key=lambda cell: -cell[2]):
        if true != predicted:
            taken_for.setdefault(true, evaluation.classes[predicted].name)
    return {
        "evaluation": evaluation,
        "weakest": weakest(evaluation),
        "table": table,
        "corner": None if table else confusion.corner_table(evaluation),
        "overview": picture,
        "hover": confusion.hover_data(picture) if picture else None,
        "diagram": reliability_diagram(evaluation),
        "rows": [(evaluation.classes[k], taken_for.get(k)) for k in order],
    }


def _splits(material: Material) -> list[str]:
    known = material.record.counts or (material.check.counts if material.check else {})
    return [name for name in ("train", "valid", "test") if name in known]
