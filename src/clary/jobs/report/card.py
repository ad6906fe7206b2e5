"""The model card: what the model is for, what it cannot do, and where it comes from.

After Mitchell et al., "Model Cards for Model Reporting", 2019; each statement follows from the
run's own figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from clary.formats.evaluation import Evaluation
from clary.formats.text import counted
from clary.formats.training_options import TrainingOptions
from clary.jobs.pages.wording import listed, percent, readable
from clary.jobs.report.material import Material

WEAK_RECALL = 0.7


@dataclass(frozen=True)
class Card:
    """Sentences and figures. `hyperparameters` are (name, value, whether it is not the default)."""

    intended: tuple[str, ...]
    limits: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    hyperparameters: tuple[tuple[str, str, bool], ...]
    commands: tuple[tuple[str, str], ...]


def write_card(material: Material) -> Card:
    """Write the card of the run's model."""
    classes = [readable(name) for name in material.classes]
    return Card(
        intended=(
            f"Says which of {counted(len(classes), 'class', 'classes')} a picture shows: "
            f"{listed(classes, 8)}."
            if classes
            else "The classes are not known.",
            "Meant for pictures that are taken, cropped and lit like the training pictures.",
        ),
        limits=_limits(material),
        provenance=_provenance(material),
        hyperparameters=_hyperparameters(material.options),
        commands=(
            ("what is on a picture", f"clary predict {material.name} photo.jpg"),
            ("where it looks", f"clary explain {material.name} photo.jpg"),
            ("for other programs", f"clary export {material.name} --format onnx"),
            ("as an endpoint that answers requests", f"clary deploy {material.name}"),
            ("on SageMaker, as model_data", str(material.directory.archive)),
        ),
    )


def _limits(material: Material) -> tuple[str, ...]:
    limits = [
        "It always answers with one of its classes, also for a picture of something else: decide "
        "what to do with answers of low probability."
    ]
    evaluation = material.evaluation
    if evaluation is None:
        return (*limits, "It has not been evaluated.")
    limits += _limits_of_figures(evaluation)
    if material.split == "valid":
        limits.append(
            "It was judged on the pictures that chose its best epoch, not on unseen ones."
        )
    made = material.record.made_splits
    if made:
        limits.append(
            f"The {listed(list(made))} pictures were drawn at random from the training pictures: "
            "on pictures from elsewhere, another camera or season, expect it to do worse."
        )
    counts = [count for count in material.counts("train").values() if count]
    if counts and max(counts) >= 3 * min(counts):
        limits.append(
            f"The classes are uneven: {min(counts):,} to {max(counts):,} training pictures."
        )
    limits.append(
        "Nothing here measures fairness between groups of people, or robustness against pictures "
        "made to deceive."
    )
    return tuple(limits)


def _limits_of_figures(evaluation: Evaluation) -> list[str]:
    limits = []
    weak = [
        f"“{readable(row.name)}” ({percent(row.recall, 0)})"
        for row in sorted(evaluation.classes, key=lambda row: row.recall or 0.0)
        if row.recall is not None and row.recall < WEAK_RECALL
    ]
    if weak:
        limits.append(f"It finds less than {percent(WEAK_RECALL, 0)} of {listed(weak, 5)}.")
    few = [readable(row.name) for row in evaluation.classes if 0 < row.support < 10]
    if few:
        limits.append(
            f"{counted(len(few), 'class was', 'classes were')} judged on fewer than 10 pictures "
            f"({listed(few, 5)}): their figures are rough."
        )
    none = [readable(row.name) for row in evaluation.classes if row.support == 0]
    if none:
        limits.append(f"Not judged at all, for want of pictures: {listed(none, 5)}.")
    if evaluation.calibrated.ece > 0.05:
        limits.append(
            f"Its probabilities are off by {percent(evaluation.calibrated.ece)} on average: do not "
            "set narrow thresholds on them."
        )
    return limits


def _provenance(material: Material) -> tuple[tuple[str, str], ...]:
    record = material.record
    known = material.description.provenance if material.description else {}
    weights = str(known.get("weights") or record.weights or "unknown")
    rows = [
        ("made by", f"Clary {known['clary']}" if known.get("clary") else "Clary"),
        ("made on", str(known.get("created") or "unknown")),
        (
            "pictures",
            f"{record.dataset or 'unknown'}, {record.layout or 'layout unknown'}",
        ),
        ("licence of the pictures", "unknown to Clary: ask whoever took or published them"),
        ("first weights", weights),
    ]
    if weights not in {"none", "random"}:
        rows.append(
            ("licence of the first weights", "unknown to Clary: see where they were published")
        )
    versions = [f"{name} {known[name]}" for name in ("torch", "timm", "python") if known.get(name)]
    if versions:
        rows.append(("with", ", ".join(versions)))
    for name, label in (
        ("data_fingerprint", "fingerprint of the training pictures"),
        ("weights_fingerprint", "fingerprint of the first weights"),
    ):
        if known.get(name):
            rows.append((label, str(known[name])[:16]))
    return tuple(rows)


def _hyperparameters(options: TrainingOptions | None) -> tuple[tuple[str, str, bool], ...]:
    if options is None:
        return ()
    usual = TrainingOptions.parse({}).model_dump(mode="json")
    return tuple(
        (name.replace("_", " "), option_text(value), value != usual[name])
        for name, value in options.model_dump(mode="json").items()
    )


def option_text(value: object) -> str:
    """An option's value as a person would type it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return str(value)
