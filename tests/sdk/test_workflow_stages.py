"""When stages of `clary run` keep what they have found, and what the first one refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from clary.errors import StageFailed
from clary.formats.workflow_record import Checked, StageRecord, Tuned, WorkflowRecord
from clary.sdk.workflow.checking import Check
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.stage import Listener, Run
from clary.sdk.workflow.tuning import Tune
from clary.sdk.workflow.workflow import Workflow
from clary.settings import Settings
from tests.conftest import PictureFolder

UNTRAINED = {"model": "test_resnet", "weights": "none"}
CHECKED = Checked(fingerprint="f", pictures=60, classes=2, train=40, valid=10, test=10)


def run_of(plan: WorkflowPlan, settings: Settings) -> Run:
    """A run whose pictures have been checked."""
    began = datetime.now(tz=timezone.utc)
    done = StageRecord(stage="check", status="done", inputs="", began=began, found=CHECKED)
    record = WorkflowRecord(name=plan.name, data=plan.location, stages=(done,))
    return Run(plan, settings, settings.runs_dir / plan.name, record, Listener())


def inputs_of(options: Mapping[str, Any], settings: Settings, **words: Any) -> Mapping[str, Any]:
    plan = WorkflowPlan.prepare("digits", options, settings, **words)
    return Check().inputs(run_of(plan, settings))


@pytest.mark.parametrize(("trials", "kept"), [(1, False), (2, True), (8, True)])
def test_a_search_that_has_tried_all_there_is_is_kept(
    settings: Settings, trials: int, kept: bool
) -> None:
    plan = WorkflowPlan.prepare("digits", {}, settings, space=["batch_size=8,16"], trials=8)
    found = Tuned(job="one", parameters={"batch_size": "8"}, trials=trials)
    assert Tune().holds(run_of(plan, settings), found) is kept


@pytest.mark.parametrize(
    ("time_limit", "kept"), [(None, False), ("5m", True), ("10m", True), ("15m", False)]
)
def test_a_search_that_was_cut_is_kept_while_there_is_no_more_time(
    settings: Settings, time_limit: str | None, kept: bool
) -> None:
    plan = WorkflowPlan.prepare("digits", {}, settings, time_limit=time_limit)
    assert Tune().holds(run_of(plan, settings), Tuned(job="one", trials=3, limit_s=600)) is kept


def test_another_network_is_looked_for_again(settings: Settings) -> None:
    first = inputs_of(UNTRAINED, settings)
    assert inputs_of({**UNTRAINED, "epochs": "3"}, settings, trials=0) == first
    assert inputs_of({**UNTRAINED, "model": "resnet18"}, settings) != first
    space = ["model=test_resnet,resnet18"]
    assert inputs_of({"weights": "none"}, settings, space=space) != first


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"valid_fraction": "0"}, "there is no valid split and --valid-fraction is 0.0: hold out"),
        ({"group_by": "("}, "group_by '(' is not a regular expression"),
    ],
)
def test_pictures_that_cannot_be_split_so_are_refused_first(
    picture_folder: PictureFolder, settings: Settings, options: dict[str, str], sentence: str
) -> None:
    photos = picture_folder("photos", classes=2, per_class=4)
    plan = WorkflowPlan.prepare(str(photos), {**UNTRAINED, **options}, settings)
    with pytest.raises(StageFailed, match="the stage check failed") as refused:
        Workflow(plan, settings).run()
    assert sentence in str(refused.value)
    assert not settings.state_file.exists()
