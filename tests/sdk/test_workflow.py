"""What a run keeps, does anew and goes on with, whatever its stages do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clary.errors import DataError, FormatError, Interrupted, StageFailed, UsageError
from clary.formats.workflow_record import (
    RECORD_FILE,
    Checked,
    Found,
    StageName,
    StageRecord,
    Trained,
    WorkflowRecord,
)
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.stage import Listener, Outcome, Run
from clary.sdk.workflow.workflow import Workflow
from clary.settings import Settings

PICTURES = Checked(fingerprint="f", pictures=3, classes=2, train=2, valid=1, test=0)


class Heard(Listener):
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []

    def ended(self, stage: StageRecord, *, kept: bool) -> None:
        self.ends.append((stage.stage, "kept" if kept else "done"))

    def left_out(self, stage: StageName, sentence: str) -> None:
        self.ends.append((stage, "left out"))


@dataclass
class Made:
    """A stage that finds what it is told to find, and notes what it was called with."""

    name: StageName
    depends_on: dict[str, Any] = field(default_factory=dict)
    finds: Found = PICTURES
    there: bool = True
    act: Callable[[Run], None] = lambda run: None
    calls: list[tuple[Found | None, bool]] = field(default_factory=list)

    def inputs(self, run: Run) -> Mapping[str, Any]:
        return self.depends_on

    def holds(self, run: Run, found: Found) -> bool:
        return self.there

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        self.calls.append((before, same))
        self.act(run)
        return Outcome(f"{self.name} is done", self.finds)


@pytest.fixture
def plan(picture_folder, settings: Settings) -> WorkflowPlan:
    photos = picture_folder("photos", classes=2, per_class=1)
    return WorkflowPlan.prepare(str(photos), {}, settings, until="train")


def ran(plan: WorkflowPlan, settings: Settings, *stages: Made) -> list[tuple[str, str]]:
    heard = Heard()
    Workflow(plan, settings, heard, stages).run()
    return heard.ends


def failing(error: Exception) -> Callable[[Run], None]:
    def act(run: Run) -> None:
        raise error

    return act


def test_what_is_done_is_kept(plan: WorkflowPlan, settings: Settings) -> None:
    check, train = Made("check"), Made("train", finds=Trained(job="one"))
    assert ran(plan, settings, check, train) == [("check", "done"), ("train", "done")]
    assert ran(plan, settings, check, train) == [("check", "kept"), ("train", "kept")]
    assert (len(check.calls), len(train.calls)) == (1, 1)


def test_other_inputs_are_done_anew_and_what_was_found_is_handed_on(
    plan: WorkflowPlan, settings: Settings
) -> None:
    train = Made("train", {"options": 1}, Trained(job="one"))
    ran(plan, settings, Made("check"), train)
    train.depends_on, train.finds = {"options": 2}, Trained(job="two")
    assert ran(plan, settings, Made("check"), train) == [("check", "kept"), ("train", "done")]
    assert train.calls == [(None, False), (Trained(job="one"), False)]


def test_what_is_not_there_any_more_is_made_again(plan: WorkflowPlan, settings: Settings) -> None:
    train = Made("train", finds=Trained(job="one"))
    ran(plan, settings, Made("check"), train)
    train.there = False
    assert ran(plan, settings, Made("check"), train)[1] == ("train", "done")
    assert train.calls[1] == (Trained(job="one"), True)


def test_a_stage_that_failed_says_which_and_keeps_those_before_it(
    plan: WorkflowPlan, settings: Settings
) -> None:
    check, train = Made("check"), Made("train", finds=Trained(job="one"))
    train.act = failing(UsageError("--lr is 0 but must be more: give more"))
    with pytest.raises(StageFailed) as failed:
        ran(plan, settings, check, train)
    assert str(failed.value).splitlines() == [
        "the stage train failed: --lr is 0 but must be more: give more",
        "what was done before train is kept: mend it, and the same command goes on there",
    ]
    assert (failed.value.stage, failed.value.exit_code) == ("train", UsageError.exit_code)
    train.act = lambda run: None
    assert ran(plan, settings, check, train) == [("check", "kept"), ("train", "done")]


def test_what_was_noted_before_an_end_is_gone_on_with(
    plan: WorkflowPlan, settings: Settings
) -> None:
    def noting(run: Run) -> None:
        run.note(Trained(job="begun"))
        raise Interrupted("stopped")

    train = Made("train", {"options": 1}, Trained(job="one"))
    ran(plan, settings, Made("check"), train)
    train.depends_on, train.act = {"options": 2}, noting
    with pytest.raises(Interrupted, match="stopped in train; the same command goes on there"):
        ran(plan, settings, Made("check"), train)
    train.act = lambda run: None
    ran(plan, settings, Made("check"), train)
    assert train.calls[-1] == (Trained(job="begun"), True)


def test_an_end_before_anything_was_noted_leaves_what_was_known(
    plan: WorkflowPlan, settings: Settings
) -> None:
    train = Made("train", {"options": 1}, Trained(job="one"))
    ran(plan, settings, Made("check"), train)
    train.depends_on, train.act = {"options": 2}, failing(DataError("no"))
    for _ in range(2):
        with pytest.raises(StageFailed):
            ran(plan, settings, Made("check"), train)
        assert train.calls[-1] == (Trained(job="one"), False)
    # The first inputs again: what was found with them may have been replaced meanwhile.
    train.depends_on, train.act = {"options": 1}, lambda run: None
    assert ran(plan, settings, Made("check"), train)[1] == ("train", "done")


def test_no_stage_begins_after_a_stop(plan: WorkflowPlan, settings: Settings) -> None:
    train = Made("train", finds=Trained(job="one"))
    heard = Heard()
    check = Made("check")
    workflow = Workflow(plan, settings, heard, (check, train))
    check.act = lambda run: workflow.stop()
    with pytest.raises(Interrupted, match="stopped in train"):
        workflow.run()
    assert train.calls == []


def test_stages_after_the_last_one_that_is_wanted_are_not_run(
    plan: WorkflowPlan, settings: Settings
) -> None:
    assert ran(plan, settings, Made("check"), Made("deploy")) == [("check", "done")]


def test_two_cannot_run_it_at_once(plan: WorkflowPlan, settings: Settings) -> None:
    def again(run: Run) -> None:
        with pytest.raises(UsageError, match="the run photos goes on in another terminal"):
            ran(plan, settings, Made("check"))

    ran(plan, settings, Made("check", act=again))


def test_a_damaged_record_is_said(plan: WorkflowPlan, settings: Settings) -> None:
    ran(plan, settings, Made("check"))
    path = settings.runs_dir / "photos" / RECORD_FILE
    path.write_text('{"version": 1, "name": 3}')
    with pytest.raises(FormatError, match="remove it, and the run begins anew"):
        Workflow(plan, settings, Heard())


def test_seconds_of_several_attempts_are_added(plan: WorkflowPlan, settings: Settings) -> None:
    check = Made("check", act=failing(DataError("no")))
    with pytest.raises(StageFailed):
        ran(plan, settings, check)
    first = WorkflowRecord.read(settings.runs_dir / "photos")
    assert first is not None
    spent = first.stages[0].seconds
    assert spent > 0
    check.act = lambda run: None
    ran(plan, settings, check)
    second = WorkflowRecord.read(settings.runs_dir / "photos")
    assert second is not None
    assert second.stages[0].seconds > spent
    assert second.stages[0].status == "done"


def test_a_run_is_called_after_its_pictures(
    picture_folder, settings: Settings, tmp_path: Path
) -> None:
    one = picture_folder("a/photos", classes=2, per_class=1)
    two = picture_folder("b/photos", classes=2, per_class=1)
    first = WorkflowPlan.prepare(str(one), {}, settings, until="check")
    ran(first, settings, Made("check"))
    names = [WorkflowPlan.prepare(str(each), {}, settings).name for each in (one, two)]
    assert names == ["photos", "photos-2"]
    with pytest.raises(UsageError, match=r"the run photos is on .*a/photos, not on .*b/photos"):
        WorkflowPlan.prepare(str(two), {}, settings, name="photos")


def test_digits_have_options_that_suit_them(settings: Settings) -> None:
    suited = WorkflowPlan.prepare("digits", {"epochs": "2"}, settings).options
    assert (suited["model"], suited["weights"], suited["epochs"]) == ("test_resnet", "none", 2)
    own = WorkflowPlan.prepare("digits", {"model": "resnet18"}, settings).options
    assert own == {"model": "resnet18"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"until": "deployed"}, "--until is 'deployed' but must be one of check, tune, train"),
        ({"trials": -1}, "--trials is -1 but must be 1 to 10000"),
        ({"trials": 0, "space": ["lr=1e-3..1e-2"]}, "--space says what to tune but --trials is 0"),
        ({"space": ["depth=1..2"]}, "depth"),
        ({"time_limit": "soon"}, "--time-limit is 'soon' but must be a time such as 10m"),
        ({"name": "a_b"}, "--name is 'a_b' but must be 1 to 63 letters"),
        ({"debug": ("activations",)}, "--debug is 'activations' but the backbone stays frozen"),
    ],
)
def test_one_sentence_for_each_mistake(
    picture_folder, settings: Settings, changes: dict[str, Any], sentence: str
) -> None:
    photos = picture_folder("photos", classes=2, per_class=1)
    with pytest.raises(UsageError) as refused:
        WorkflowPlan.prepare(str(photos), {"trainable_layers": "0"}, settings, **changes)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not settings.runs_dir.exists()
