"""What was watched of a training, on the page: written with it, and put into it afterwards."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from clary.formats.findings import Finding, RuleStatus, append_findings
from clary.formats.job_directory import JobDirectory
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, CollectionRecord, Mode, Statistics, Step
from clary.jobs.program import exit_code
from clary.jobs.report.__main__ import main
from clary.jobs.report.rules_section import look_at
from tests.jobs.pages.page_reader import Page

LOSS = "CrossEntropyLoss_output_0"


@pytest.fixture
def directory(tmp_path: Path) -> JobDirectory:
    made = JobDirectory(tmp_path / "run")
    made.create()
    made.write_inputs({"epochs": "1"}, {"training": tmp_path})
    return made


def save_tensors(directory: JobDirectory, *, steps: int = 60) -> None:
    losses = CollectionRecord("losses", (r"[Ll]oss_(?!input).*output",))
    writer = TensorLogWriter(directory.root / "output" / "tensors", collections=[losses])
    for number in range(steps):
        mode = Mode.EVAL if number % 10 == 9 else Mode.TRAIN
        small = Statistics(10, zeros=1, nans=0, infs=0, l1=10 * 10 ** (-number / 75), l2=1.0)
        rows = {"gradient/Net_a.weight": small, "gradient/Net_b.weight": Statistics(10, l1=20.0)}
        loss = math.inf if number == 3 else 1 / (number + 1)
        step = Step(number, mode, number, 1e9 + number)
        writer.write(Capture(step, {LOSS: loss}, rows if mode is Mode.TRAIN else {}))
    writer.close()


def save_finding(directory: JobDirectory, rule: str, *findings: Finding, status: str) -> None:
    folder = directory.root / "rules" / rule
    RuleStatus(configuration=rule, rule=rule, status=status, details="it is so").write(folder)  # type: ignore[arg-type]
    append_findings(folder, findings)


def issue(tensor: str) -> Finding:
    return Finding(
        rule="VanishingGradient",
        kind="issue",
        message="the mean is 1e-9, under 1e-7",
        cause="a <saturated> layer",
        remedy="normalise",
        tensor=tensor,
        step=5,
        mode="TRAIN",
    )


def test_findings_statuses_and_figures_stand_on_the_page(directory: JobDirectory) -> None:
    save_tensors(directory)
    save_finding(directory, "VanishingGradient", issue("a"), issue("b"), status="IssuesFound")
    save_finding(directory, "DeadRelu", status="Error")
    assert exit_code(main, [str(directory.root)]) == 0
    text = (directory.output_data / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "2 rules: 1 found an issue, 1 could not judge." in page.text
    assert "VanishingGradient · at step 5 of training" in page.text
    assert "The mean is 1e-9, under 1e-7. Also in b." in page.text
    assert "Why A <saturated> layer." in page.text
    assert "it is so" in page.text
    assert "2 tensors, as they were last" in page.text
    held = re.search(r'id="step-points">(.*?)</script>', text, flags=re.DOTALL)
    assert held is not None
    loss, gradients = json.loads(held[1])
    assert loss[0]["lines"][0].startswith("step ")
    assert all(math.isfinite(point["x"]) for point in (*loss, *gradients))


def test_figures_are_thinned_and_follow_magnitudes(directory: JobDirectory) -> None:
    save_tensors(directory, steps=300)
    loss, gradients = look_at(directory).charts
    assert [curve.label for curve in loss.curves] == ["train", "valid"]
    assert len(loss.points) <= 165  # 135 means of two, and 30 of validation
    assert [tick.text for tick in gradients.y_ticks] == [f"1e{k}" for k in range(-4, 2)]
    assert [curve.label for curve in gradients.curves] == [
        "largest layer (gradient/Net_b.weight)",
        "smallest layer (gradient/Net_a.weight)",
    ]


def test_without_anything_watched_it_says_so(directory: JobDirectory) -> None:
    assert exit_code(main, [str(directory.root)]) == 0
    page = Page((directory.output_data / "report.html").read_text(encoding="utf-8"))
    assert "the training was not watched" in page.text
    save_tensors(directory, steps=1)
    assert look_at(directory).missing is None


def test_a_damaged_status_is_a_sentence(directory: JobDirectory) -> None:
    save_finding(directory, "Overfit", status="NoIssuesFound")
    (directory.root / "rules" / "Overfit" / "status.json").write_text("{")
    assert "is not readable as JSON" in (look_at(directory).missing or "")


def test_what_rules_say_later_is_put_into_the_page(
    directory: JobDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    save_finding(directory, "VanishingGradient", status="InProgress")
    assert exit_code(main, [str(directory.root)]) == 0
    path = directory.output_data / "report.html"
    before = path.read_text(encoding="utf-8")
    assert "1 rule is still judging" in before
    save_finding(directory, "VanishingGradient", issue("a"), status="IssuesFound")
    assert exit_code(main, [str(directory.root), "--rules-only"]) == 0
    after = path.read_text(encoding="utf-8")
    page = Page(after)
    assert "1 rule found an issue." in page.text
    assert "1 rule is still judging" not in page.text
    outside = re.compile(r"<!-- rules: begin -->.*<!-- rules: end -->", re.DOTALL)
    assert outside.sub("", before) == outside.sub("", after)

    path.write_text("<html></html>")
    assert exit_code(main, [str(directory.root), "--rules-only"]) == 1
    path.unlink()
    assert exit_code(main, [str(directory.root), "--rules-only"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "has no place for rules" in errors[0]
    assert "there is no report" in errors[1]
