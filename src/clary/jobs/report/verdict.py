"""How good the model is, in words, and what to try next: computed from the figures.

Each rule of `RULES` looks at the run and gives advice or nothing; the page shows the first few.
"""

from __future__ import annotations

from collections.abc import Callable

from clary.formats.evaluation import ClassFigures, Evaluation
from clary.formats.text import counted
from clary.jobs.pages.verdict import Advice, Verdict
from clary.jobs.pages.wording import interval, listed, percent, readable
from clary.jobs.report.material import Material

MOST_ADVICE = 4


def judge(material: Material) -> Verdict:
    """Say how good the run's model is."""
    evaluation = material.evaluation
    if evaluation is None:
        return _without_evaluation(material)
    kind = "unseen" if material.split == "test" else "held-out"
    sentences = [
        f"For pictures like these the true rate is {interval(*evaluation.interval)} "
        "(95 % interval)."
    ]
    if material.split == "valid":
        sentences.append(
            "There is no test split: these pictures also chose the best epoch, so the figure is "
            "a little too good."
        )
    sentences.append(_against_guessing(evaluation))
    sentences.append(_weakest_sentence(evaluation))
    if material.failure:
        sentences.insert(0, f"The run ended early: {material.failure}")
    found = (rule(material, evaluation) for rule in RULES)
    return Verdict(
        headline=f"{percent(evaluation.accuracy)} of "
        f"{counted(evaluation.pictures, f'{kind} picture')} right",
        sentences=tuple(sentences),
        advice=tuple(advice for advice in found if advice)[:MOST_ADVICE],
    )


def weakest(evaluation: Evaluation) -> ClassFigures | None:
    """The class of which the smallest part is found; None when all are found."""
    present = [row for row in evaluation.classes if row.recall is not None]
    worst = min(present, key=lambda row: (row.recall, -row.support))
    return worst if worst.recall is not None and worst.recall < 1 else None


def _without_evaluation(material: Material) -> Verdict:
    done = material.epochs[-1] if material.epochs else None
    if material.failure:
        return Verdict(
            "This run failed",
            (material.failure, f"It had finished {counted(len(material.epochs), 'epoch')}."),
            (
                Advice(
                    "Mend the cause and go on",
                    "The last checkpoint is kept, so nothing that was learned is lost.",
                    f"clary train --resume {material.name}",
                ),
            ),
        )
    if done is None:
        return Verdict("This run has not finished an epoch yet", (), ())
    accuracy = "" if done.valid_accuracy is None else f", {percent(done.valid_accuracy)} right"
    return Verdict(
        f"Epoch {done.epoch} of {done.epochs}: not evaluated yet",
        (f"On the validation pictures so far{accuracy}.",),
        (Advice("Finish it", "The run can go on.", f"clary train --resume {material.name}"),),
    )


def _against_guessing(evaluation: Evaluation) -> str:
    largest = max(evaluation.classes, key=lambda row: row.support)
    share = largest.support / evaluation.pictures
    name = readable(largest.name)
    if share >= evaluation.interval[0]:
        return (
            f"Always answering “{name}” would be right for {percent(share)}, "
            "so the model has hardly learned anything yet."
        )
    return f"Always answering “{name}” would be right for {percent(share)}."


def _weakest_sentence(evaluation: Evaluation) -> str:
    worst = weakest(evaluation)
    if worst is None or worst.recall is None:
        return "Not one picture was taken for another class."
    label = [row.name for row in evaluation.classes].index(worst.name)
    found = round(worst.recall * worst.support)
    wrong = [pair for pair in evaluation.confused_pairs if pair.true == label]
    taken = ""
    if wrong:
        other = readable(evaluation.classes[wrong[0].predicted].name)
        taken = f", {wrong[0].count} taken for “{other}”"
    few = "; too few to be sure of it" if worst.support < 10 else ""
    return f"Weakest class: “{readable(worst.name)}”, {found} of {worst.support} found{taken}{few}."


def _leakage(material: Material, evaluation: Evaluation) -> Advice | None:
    del evaluation
    findings = material.check.findings if material.check else ()
    leaks = [
        finding
        for finding in findings
        if finding.code in {"leakage", "near-leakage"} and finding.severity != "notice"
    ]
    if not leaks:
        return None
    return Advice(
        "Take the shared pictures out of one split",
        f"{leaks[0].message}.",
        f"clary check {material.location}",
    )


def _not_finished(material: Material, evaluation: Evaluation) -> Advice | None:
    del evaluation
    best, last = material.best_epoch, material.epochs[-1] if material.epochs else None
    if best is None or last is None or best.epoch != last.epoch or len(material.epochs) < 3:
        return None
    earlier = material.epochs[-3].valid_loss
    if earlier is None or best.valid_loss is None or best.valid_loss > 0.97 * earlier:
        return None
    return Advice(
        f"Train for {2 * last.epoch} epochs",
        f"The last epoch was the best, and the validation loss still fell "
        f"({earlier:.3f} → {best.valid_loss:.3f} in two epochs).",
        f"clary train {material.location} --epochs {2 * last.epoch}",
    )


def _unfreeze(material: Material, evaluation: Evaluation) -> Advice | None:
    frozen = material.record.frozen
    if not frozen or evaluation.accuracy > 0.97:
        return None
    return Advice(
        "Let the last layers learn too",
        f"Only the head was trained; {counted(evaluation.pictures - evaluation.right, 'mistake')} "
        "may need features that the pretrained network does not have. Slower.",
        f"clary train {material.location} --trainable-layers 2",
    )


def _overfitting(material: Material, evaluation: Evaluation) -> Advice | None:
    del evaluation
    best = material.best_epoch
    if best is None or best.train_accuracy is None or best.valid_accuracy is None:
        return None
    gap = best.train_accuracy - best.valid_accuracy
    if gap < 0.1:
        return None
    why = (
        f"{percent(best.train_accuracy)} of the training pictures are right but "
        f"{percent(best.valid_accuracy)} of the validation pictures: it learns them by heart."
    )
    augmentation = material.options.augmentation if material.options else "standard"
    stronger = {"none": "standard", "flip": "standard", "standard": "strong"}.get(augmentation)
    if stronger is None:
        command = f"clary train {material.location} --dropout 0.3"
        return Advice("Add training pictures, or dropout", why, command)
    return Advice(
        "Add training pictures, or vary them more",
        why,
        f"clary train {material.location} --augmentation {stronger}",
    )


def _underfitting(material: Material, evaluation: Evaluation) -> Advice | None:
    best = material.best_epoch
    frozen = material.record.frozen
    if frozen or best is None or best.train_accuracy is None or evaluation.accuracy > 0.9:
        return None
    if best.train_accuracy > 0.85 or not material.options:
        return None
    return Advice(
        "Try a larger network",
        f"Even of the training pictures only {percent(best.train_accuracy)} are right.",
        f"clary train {material.location} --model resnet50",
    )


def _suspicious_labels(material: Material, evaluation: Evaluation) -> Advice | None:
    del material
    sure = [
        mistake
        for mistake in evaluation.top_losses
        if mistake.true != mistake.predicted and mistake.probability >= 0.95
    ]
    if not sure:
        return None
    return Advice(
        f"Look at the {counted(len(sure), 'sure mistake')} below",
        "The model was at least 95 % sure and wrong: often the label is what is wrong.",
    )


def _few_pictures_of_the_weakest(material: Material, evaluation: Evaluation) -> Advice | None:
    worst = weakest(evaluation)
    counts = material.counts("train")
    if worst is None or worst.recall is None or worst.name not in counts or len(counts) < 2:
        return None
    own, usual = counts[worst.name], sorted(counts.values())[len(counts) // 2]
    if worst.recall > evaluation.accuracy - 0.05 or own >= 0.7 * usual:
        return None
    return Advice(
        f"Collect more pictures of “{readable(worst.name)}”",
        f"It is the weakest class and has {own} training pictures; half of the classes have "
        f"{usual} or more.",
    )


def _dominant_pair(material: Material, evaluation: Evaluation) -> Advice | None:
    del material
    wrong = evaluation.pictures - evaluation.right
    if wrong < 5 or len(evaluation.classes) < 3:
        return None
    pair = evaluation.confused_pairs[0]
    back = [
        other.count
        for other in evaluation.confused_pairs
        if (other.true, other.predicted) == (pair.predicted, pair.true)
    ]
    both = pair.count + sum(back)
    if both < 0.2 * wrong or both < 4:
        return None
    names = [readable(evaluation.classes[k].name) for k in (pair.true, pair.predicted)]
    return Advice(
        f"Compare “{names[0]}” with “{names[1]}”",
        f"{both} of {wrong} mistakes are between these two: look for mixed-up labels, add "
        "pictures that show the difference, or join the two classes.",
    )


def _wide_interval(material: Material, evaluation: Evaluation) -> Advice | None:
    low, high = evaluation.interval
    if high - low < 0.08:
        return None
    name = material.split or "test"
    return Advice(
        f"Hold out more {name} pictures before comparing runs",
        f"{counted(evaluation.pictures, 'picture')} leave an interval of {100 * (high - low):.0f} "
        "points: smaller differences between two runs say nothing.",
    )


def _unjudged_classes(material: Material, evaluation: Evaluation) -> Advice | None:
    empty = [readable(row.name) for row in evaluation.classes if row.support == 0]
    if not empty:
        return None
    return Advice(
        f"Add {material.split} pictures of {listed(empty)}",
        "Nothing is known about how well "
        + ("it is" if len(empty) == 1 else "they are")
        + " recognised.",
    )


RULES: tuple[Callable[[Material, Evaluation], Advice | None], ...] = (
    _leakage,
    _unjudged_classes,
    _not_finished,
    _unfreeze,
    _overfitting,
    _underfitting,
    _few_pictures_of_the_weakest,
    _suspicious_labels,
    _dominant_pair,
    _wide_interval,
)
