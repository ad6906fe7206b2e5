"""The program that checks rules: classes from people's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.formats.client_environment import SHIMS
from clary.formats.log_file import read_events
from clary.formats.rule_request import (
    LOG_FILE,
    mark_ended,
    results_folder,
)
from clary.jobs.check_rules.check import STOP_FILE
from tests.jobs.check_rules.rule_folders import (
    LOSS,
    Start,
    found,
    request,
    rule,
    status,
    write,
)
from tests.waiting import PATIENCE_S


def test_a_rule_that_is_stopped_while_it_judges_finds_nothing(tmp_path: Path, start: Start) -> None:
    source = tmp_path / "asks.py"
    folder = tmp_path / "rules"
    source.write_text(
        "from pathlib import Path\n"
        "from clary.rules import Rule\n"
        "class Asks(Rule):\n"
        "    def judge(self, window):\n"
        f"        Path({str(results_folder(folder, 'Asks') / STOP_FILE)!r}).touch()\n"
        "        return [self.issue(window, None, 'too late')]\n"
    )
    assert request(tmp_path, rule("Asks", source)) == folder
    write(tmp_path / "tensors-0", [1e-2, 1e-2])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    known = status(folder, "Asks")
    assert known.status == "Stopped"
    assert known.details == (
        "time was up after the training, and the rule was stopped before it had judged more than "
        "step 1"
    )
    assert found(folder, "Asks") == ()


CUSTOM = """
from clary.rules import Parameters, Rule

class LossOver(Rule):
    class Bound(Parameters):
        bound: float

    parameters_model = Bound

    def judge(self, window):
        for name in window.names(collections=["losses"]):
            for step in window.new(name):
                if window.statistics(name, step).mean > self.parameters.bound:
                    return [self.issue(window, step, f"{name} is over {self.parameters.bound}",
                                       tensor=name)]
        return []

class Broken(Rule):
    def judge(self, window):
        return [1 / 0]
"""


def test_a_thread_that_a_rule_leaves_behind_is_not_waited_for(tmp_path: Path, start: Start) -> None:
    source = tmp_path / "leaves.py"
    source.write_text(
        "import threading, time\n"
        "from clary.rules import Rule\n"
        "class Leaves(Rule):\n"
        "    def judge(self, window):\n"
        f"        threading.Thread(target=time.sleep, args=({10 * PATIENCE_S},)).start()\n"
        "        return []\n"
    )
    folder = request(tmp_path, rule("Leaves", source))
    write(tmp_path / "tensors-0", [1e-2])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    assert status(folder, "Leaves").status == "NoIssuesFound"


@pytest.fixture
def custom(tmp_path: Path) -> Path:
    path = tmp_path / "my_rules.py"
    path.write_text(CUSTOM)
    return path


def test_a_rule_of_ones_own(tmp_path: Path, start: Start, custom: Path) -> None:
    folder = request(tmp_path, rule("LossOver", custom, bound="1.985"))
    write(tmp_path / "tensors-0", [1.0, 1.0])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    (issue,) = found(folder, "LossOver")
    assert (issue.message, issue.step) == (f"{LOSS} is over 1.985", 0)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("Broken", {}, "ZeroDivisionError: division by zero"),
        ("LossOver", {}, "parameter bound of LossOver is {} but must"),
        ("Missing", {}, "holds no class 'Missing'"),
        ("Path", {}, "holds no class 'Path'"),
    ],
)
def test_a_rule_that_fails_ends_alone(
    tmp_path: Path, start: Start, custom: Path, name: str, parameters: dict[str, str], words: str
) -> None:
    folder = request(tmp_path, rule(name, custom, **parameters), rule("ExplodingTensor"))
    write(tmp_path / "tensors-0", [1.0, 1.0])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    told = status(folder, name)
    assert told.status == "Error"
    assert words in told.details
    (failure,) = found(folder, name)
    assert failure.kind == "watcher_failed"
    log = read_events(results_folder(folder, name) / LOG_FILE)
    assert any("Traceback" in event.message for event in log)
    assert status(folder, "ExplodingTensor").status == "NoIssuesFound"


SMDEBUG = """
from smdebug.rules.rule import Rule

class GradientUnder(Rule):
    def __init__(self, base_trial, threshold="0.1"):
        super().__init__(base_trial)
        self.threshold = float(threshold)

    def set_required_tensors(self, step):
        self.req_tensors.add("gradient/Net_fc.weight", steps=[step])

    def invoke_at_step(self, step):
        self.logger.warning(f"looking at step {step}")
        value = self.base_trial.tensor("gradient/Net_fc.weight").value(step)
        return bool(abs(value).mean() < self.threshold)
"""


@pytest.mark.skipif(not (SHIMS / "smdebug").is_dir(), reason="needs the smdebug name")
def test_a_rule_of_the_original_librarys_kind(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "people.py"
    path.write_text(SMDEBUG)
    folder = request(tmp_path, rule("GradientUnder", path, threshold="0.05"))
    write(tmp_path / "tensors-0", [1.0, 0.5, 0.01])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    told = status(folder, "GradientUnder")
    assert told.status == "IssuesFound"
    (issue,) = found(folder, "GradientUnder")
    assert (issue.kind, issue.step) == ("issue", 2)
    log = read_events(results_folder(folder, "GradientUnder") / LOG_FILE)
    assert any("looking at step 1" in event.message for event in log)
