"""The report of a data check survives its file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clary.formats.data_check import NAMES_LIMIT, VERSION, CheckFinding, CheckReport

SEVERITIES = ("error", "warning", "notice")
# Any text that UTF-8 can hold: file names are made to fit before they come here.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
COUNTS = st.integers(0, 10**9)


@st.composite
def findings(draw: st.DrawFn) -> CheckFinding:
    names = tuple(draw(st.lists(TEXT, max_size=NAMES_LIMIT)))
    details = tuple(draw(TEXT) for _ in names) if draw(st.booleans()) else ()
    return CheckFinding(
        code=draw(TEXT),
        severity=draw(st.sampled_from(SEVERITIES)),
        message=draw(TEXT),
        count=draw(COUNTS),
        names=names,
        details=details,
    )


SIDES = st.tuples(COUNTS, COUNTS, COUNTS)
REPORTS = st.builds(
    CheckReport,
    dataset=TEXT,
    layout=TEXT,
    classes=st.lists(TEXT, max_size=4).map(tuple),
    counts=st.dictionaries(TEXT, st.dictionaries(TEXT, COUNTS, max_size=3), max_size=3),
    findings=st.lists(findings(), max_size=4).map(tuple),
    pictures=COUNTS,
    seconds=st.floats(0, 1e6),
    widths=SIDES,
    heights=SIDES,
    made_splits=st.lists(TEXT, max_size=2).map(tuple),
    full=st.booleans(),
)


@given(REPORTS)
def test_a_report_survives_its_json(report: CheckReport) -> None:
    again = CheckReport.model_validate_json(report.model_dump_json())
    assert again == report
    assert again.version == VERSION


@given(REPORTS)
def test_only_errors_block_training(report: CheckReport) -> None:
    assert report.blocks_training == ("error" in {found.severity for found in report.findings})


def test_a_finding_holds_fifty_names_and_a_detail_for_each_or_none() -> None:
    basis = {"code": "x", "severity": "error", "message": "m", "count": 51}
    with pytest.raises(ValidationError):
        CheckFinding(**basis, names=tuple(map(str, range(51))))
    with pytest.raises(ValidationError, match="1 details for 2 names"):
        CheckFinding(**basis, names=("a", "b"), details=("c",))


def test_the_page_lists_the_codes_that_the_checks_use_and_no_others() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "formats" / "data_check.md").read_text(encoding="utf-8")
    table = page.split("## Codes")[1]
    documented = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    literals = {
        node.value
        for source in (root / "src" / "clary" / "vision" / "checks").glob("*.py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert documented <= literals
    hyphenated = {text for text in literals if re.fullmatch("[a-z]+(-[a-z]+)+", text)}
    assert hyphenated - documented == {"clary-check"}  # what its threads are called
