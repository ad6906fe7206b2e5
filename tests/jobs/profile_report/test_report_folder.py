from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.errors import StorageError
from clary.formats.profiler_rule_parameters import REPORTED_RULES
from clary.jobs.profile_report import write_profile_report
from clary.jobs.profile_report.rule_files import plain
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Judgement, Moment
from tests.jobs.profile_report.test_page import judged
from tests.profiler.made_profiles import MADE, START_S, everything, slow_loading

END = Moment(START_S + 3600, ended=True)
KEYS = {"RuleTriggered", "Violations", "Datapoints", "RuleParameters", "Details"}


def strict(path: Path) -> dict[str, object]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("made", MADE)
def test_thirteen_files_are_written_as_sagemaker_names_them(tmp_path: Path, made: str) -> None:
    profile = MADE[made](tmp_path / "profiler")
    folder = tmp_path / "out"
    page = write_profile_report(profile, folder, judged(profile).judgements)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert page == folder / "profiler-report.html"
    assert found == {
        "profiler-report.html",
        "profiler-report.ipynb",
        *(f"profiler-reports/{rule}.json" for rule in REPORTED_RULES),
    }
    assert len(found) == 13
    assert set(REPORTED_RULES) == set(BUILT_IN)
    for rule in REPORTED_RULES:
        assert strict(folder / "profiler-reports" / f"{rule}.json").keys() >= KEYS


def test_a_rule_s_file_holds_what_it_was_judged_by(tmp_path: Path) -> None:
    profile = slow_loading(tmp_path / "profiler")
    own = BUILT_IN["CPUBottleneck"].configured({"threshold": "12"})
    judgements = {"CPUBottleneck": Judgement(3, 40, (), {"share": float("nan")})}
    write_profile_report(
        profile, tmp_path / "out", judgements, parameters={"CPUBottleneck": own.parameters}
    )
    held = strict(tmp_path / "out" / "profiler-reports" / "CPUBottleneck.json")
    assert (held["RuleTriggered"], held["Datapoints"]) == (3, 40)
    assert "threshold:12" in str(held["RuleParameters"]).split("\n")[0].replace(".0", "")
    assert "scan_interval_us" not in str(held["RuleParameters"])
    assert held["Details"] == {"share": None}
    other = strict(tmp_path / "out" / "profiler-reports" / "BatchSize.json")
    assert (other["RuleTriggered"], other["Datapoints"]) == (0, 0)


def test_what_no_rule_could_fire_for_stands_in_the_overview(tmp_path: Path) -> None:
    profile = MADE["often_saved"](tmp_path / "profiler")
    judgements = {name: kind().judge(profile, END) for name, kind in BUILT_IN.items()}
    write_profile_report(profile, tmp_path / "out", judgements)
    held = strict(tmp_path / "out" / "profiler-reports" / "OverallFrameworkMetrics.json")
    (found,) = held["Findings"]  # type: ignore[misc]
    assert "checkpoint" in found["message"]
    assert judgements["OverallFrameworkMetrics"].findings == ()
    page = (tmp_path / "out" / "profiler-report.html").read_text()
    assert "what the verdict names is judged by none of them" in page


def test_what_the_page_draws_stands_in_the_files(tmp_path: Path) -> None:
    profile = everything(tmp_path / "profiler")
    write_profile_report(profile, tmp_path / "out", {})
    reports = tmp_path / "out" / "profiler-reports"
    training = strict(reports / "OverallFrameworkMetrics.json")["Report"]
    machine = strict(reports / "OverallSystemUsage.json")["Report"]
    assert isinstance(training, dict)
    assert isinstance(machine, dict)
    assert {one["key"] for one in training["step"]} >= {"data", "forward", "backward"}
    assert abs(sum(one["share"] for one in training["step"]) - 1) < 1e-6
    curve = machine["curves"][0]
    assert len(curve["at_s"]) == len(curve["low"]) == len(curve["mean"]) == len(curve["high"]) > 50


def test_a_report_of_nothing_is_whole_too(tmp_path: Path) -> None:
    from clary.profiler.profile import Profile

    write_profile_report(Profile.open([tmp_path / "never"]), tmp_path / "out", {})
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 13


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    profile = slow_loading(tmp_path / "profiler")
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        write_profile_report(profile, tmp_path / "out", {})


def test_numbers_of_numpy_are_plain() -> None:
    import numpy as np

    assert plain({"a": np.float32(1.5), "b": np.array([1, 2]), 3: (np.nan, float("inf"))}) == {
        "a": 1.5,
        "b": [1, 2],
        "3": [None, None],
    }
