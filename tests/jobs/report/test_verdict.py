from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from clary.formats.data_check import CheckFinding, CheckReport
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.jobs.report.material import Epoch, Material, RunRecord
from clary.jobs.report.verdict import judge
from clary.vision.evaluation import evaluate_logits

CLASSES = ("ant", "bee", "wasp")


def answers(confusion: list[list[int]], sure: float = 2.0):
    """The evaluation of a model whose answers give this confusion matrix."""
    pairs = [(t, p) for t, row in enumerate(confusion) for p, n in enumerate(row) for _ in range(n)]
    labels, said = np.array(pairs).T
    return evaluate_logits(np.eye(len(confusion))[said] * sure, labels, CLASSES[: len(confusion)])


def epochs(*figures: tuple[float, float, float, bool]) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(k + 1, len(figures), loss, train, loss, valid, 1e-3, 1.0, 10.0, best)
        for k, (train, valid, loss, best) in enumerate(figures)
    )


def run(evaluation, **words) -> Material:
    words = {"record": {"location": "photos", "classes": list(CLASSES)}, **words}
    words["record"] = RunRecord.model_validate(words["record"])
    return Material(
        directory=JobDirectory(Path("run")),
        options=TrainingOptions.parse({}),
        evaluations={"test": evaluation},
        **words,
    )


def advice(material: Material) -> str:
    return " | ".join(f"{a.what}: {a.why} [{a.command}]" for a in judge(material).advice)


def test_the_headline_counts_and_the_weakest_class_is_named():
    verdict = judge(run(answers([[95, 5, 0], [0, 100, 0], [12, 8, 80]])))
    assert verdict.headline == "91.7\u202f% of 300 unseen pictures right"
    text = " ".join(verdict.sentences)
    assert "88.0–94.3\u202f%" in text
    assert "Weakest class: “wasp”, 80 of 100 found, 12 taken for “ant”." in text
    assert "Always answering “ant” would be right for 33.3\u202f%." in text


def test_a_perfect_model_is_not_scolded():
    verdict = judge(run(answers([[100, 0], [0, 100]])))
    assert verdict.headline.startswith("100\u202f%")
    assert verdict.advice == ()
    assert "Not one picture was taken for another class." in verdict.sentences


def test_a_model_that_only_guesses_is_told_so():
    verdict = judge(run(answers([[90, 0], [10, 0]])))
    assert any("hardly learned anything" in sentence for sentence in verdict.sentences)


GOOD = [[96, 2, 2], [2, 96, 2], [2, 2, 96]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            {
                "epochs": epochs(
                    (0.9, 0.8, 0.9, True), (0.9, 0.8, 0.8, True), (0.9, 0.85, 0.6, True)
                )
            },
            "Train for 6 epochs.*0.900 → 0.600.*--epochs 6",
        ),
        (
            {"epochs": epochs((0.99, 0.8, 0.5, True), (1.0, 0.7, 0.6, False))},
            "vary them more: 99.0.*80.0.*--augmentation strong",
        ),
        (
            {"record": {"trainable_layers": 0, "location": "photos"}},
            "Let the last layers learn.*12 mistakes.*clary train photos --trainable-layers 2",
        ),
    ],
)
def test_what_the_figures_ask_for_is_advised(words, says):
    assert re.search(says, advice(run(answers(GOOD), **words)))
    assert not re.search(says, advice(run(answers(GOOD))))


def test_a_class_without_pictures_is_asked_for():
    assert "Add test pictures of wasp" in advice(run(answers([[50, 0, 0], [0, 50, 0], [0, 0, 0]])))


def test_few_pictures_of_the_weakest_class_are_the_first_thing_to_mend():
    weak = answers([[96, 2, 2], [2, 96, 2], [20, 20, 60]])
    record = {"classes": list(CLASSES), "counts": {"train": [100, 100, 20]}, "location": "photos"}
    assert "Collect more pictures of “wasp”" in advice(run(weak, record=record))
    record["counts"] = {"train": [100, 100, 100]}
    assert "Collect" not in advice(run(weak, record=record))


def test_sure_mistakes_and_a_dominant_pair_are_pointed_at():
    text = advice(run(answers([[100, 0, 0], [0, 80, 20], [0, 2, 98]], sure=9)))
    assert "Look at the 22 sure mistakes" in text
    assert "Compare “bee” with “wasp”: 22 of 22 mistakes" in text
    assert "sure mistake" not in advice(run(answers([[100, 0, 0], [0, 80, 20], [0, 2, 98]])))


def test_few_pictures_leave_a_wide_interval():
    assert "Hold out more test pictures" in advice(run(answers([[10, 1], [0, 9]])))


def test_leakage_comes_first_but_not_as_a_notice():
    def check(severity):
        leak = CheckFinding(code="leakage", severity=severity, message="3 are in both", count=3)
        return CheckReport(
            dataset="d",
            layout="l",
            classes=CLASSES,
            counts={},
            findings=(leak,),
            pictures=9,
            seconds=1,
        )

    assert judge(run(answers(GOOD), check=check("warning"))).advice[0].why == "3 are in both."
    assert "in both" not in advice(run(answers(GOOD), check=check("notice")))
