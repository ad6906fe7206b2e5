"""What a person wants to run: checked before anything begins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.errors import UsageError
from clary.formats.known_datasets import KNOWN_DATASETS, SUITED_OPTIONS
from clary.formats.training_options import TrainingOptions
from clary.formats.workflow_record import STAGES, StageName, WorkflowRecord
from clary.sdk.estimator import NAME_LIMIT
from clary.sdk.locations import resolve_data
from clary.sdk.picture_training import JOB_NAME, PictureTraining, with_absolute_paths
from clary.sdk.picture_tuning import PictureTuning, TuningPlan, seconds_of
from clary.sdk.profiling import Level
from clary.settings import Settings

DEFAULT_TRIALS = 8
# Options that choose another network than the one that suits a known data set.
_OF_THE_NETWORK = ("model", "weights", "weight_path")
# Numbers behind a name, where other pictures have a run of that name.
_MOST_ALIKE = 1000


@dataclass(frozen=True)
class WorkflowPlan:
    """A run that can begin.

    name:           of the run, and where it can be had of its endpoint
    location:       an absolute path or a known name
    options:        fields of `TrainingOptions` that were given, as JSON has them
    trials:         of the tuning; 0 leaves it out
    space:          ranges as text; those that fit the training when None
    until:          the last stage
    seconds:        that tuning and training may take together; None is as long as it takes
    debug:          what the training is watched for, as `picture_debugging` takes it
    profile:        what is recorded of where its time goes
    look:           at the pictures before training; otherwise they are only counted
    """

    name: str
    location: str
    options: Mapping[str, Any]
    trials: int = DEFAULT_TRIALS
    space: tuple[str, ...] | None = None
    until: StageName = "predict"
    seconds: int | None = None
    debug: tuple[str, ...] = ()
    profile: Level = "steps"
    look: bool = True

    @classmethod
    def prepare(
        cls,
        data: str,
        options: Mapping[str, Any],
        settings: Settings,
        *,
        name: str | None = None,
        trials: int | None = None,
        space: Sequence[str] | None = None,
        until: str = "predict",
        time_limit: str | None = None,
        debug: Sequence[str] = ("auto",),
        profile: Level = "steps",
        skip_check: bool = False,
    ) -> WorkflowPlan:
        """Check what a person asks for.

        Args:
            data: a path or a known name.
            options: fields of `TrainingOptions`, text allowed.
            settings: whose home keeps the run.
            name: of the run; that of the data when None.
            trials: of the tuning, 0 for none; 8 when None.
            space: ranges as text.
            until: the name of the last stage.
            time_limit: for tuning and training together, such as `10m`.
            debug: what the training is watched for, as `picture_debugging` takes it.
            profile: what is recorded of where the training's time goes.
            skip_check: do not look at the pictures before training.

        Raises:
            DataError: there is no such data.
            UsageError: an option is out of bounds, there is no such stage, or the name is not
                allowed or is that of a run on other data.
            FormatError: the record of the run is damaged.
        """
        if until not in STAGES:
            raise UsageError(f"--until is {until!r} but must be one of {', '.join(STAGES)}")
        location = resolve_data(data)
        given = {**_suited(location, options), **options}
        parsed = with_absolute_paths(TrainingOptions.parse(given), settings)
        plan = cls(
            name=_own_name(name, location, settings) if name else _name(location, settings),
            location=location,
            options=parsed.model_dump(mode="json", exclude_unset=True),
            trials=DEFAULT_TRIALS if trials is None else trials,
            space=None if space is None else tuple(space),
            until=until,
            seconds=None if time_limit is None else seconds_of(time_limit),
            debug=tuple(debug),
            profile=profile,
            look=not skip_check,
        )
        if trials == 0 and space is not None:
            raise UsageError("--space says what to tune but --trials is 0: leave one of them out")
        if plan.trials:
            plan.tuning(settings)
        plan.training(plan.options, settings)
        return plan

    def includes(self, stage: StageName) -> bool:
        """Whether a stage is to be run."""
        return STAGES.index(stage) <= STAGES.index(self.until)

    def tuning(
        self, settings: Settings, *, name: str | None = None, seconds: int | None = None
    ) -> PictureTuning:
        """The tuning job.

        Args:
            settings: whose home is searched for the models that options name.
            name: of the tuning job.
            seconds: that it may take.

        Raises:
            UsageError: an option or a range cannot be used.
            DataError: there is no such data any more.
        """
        limit = None if seconds is None else f"{seconds}s"
        plan = TuningPlan(self.space, trials=self.trials, time_limit=limit, name=name)
        return PictureTuning.prepare(self.location, self.options, settings, plan)

    def training(
        self, options: Mapping[str, Any], settings: Settings, *, name: str | None = None
    ) -> PictureTraining:
        """The training; the pictures have been looked at before it.

        Args:
            options: of the training, the tuned ones among them.
            settings: whose home is searched for the models that options name.
            name: of the training job.

        Raises:
            UsageError: an option cannot be used, or the name is taken.
            DataError: there is no such data any more.
        """
        return PictureTraining.prepare(
            self.location,
            options,
            settings,
            name=name,
            debug=self.debug,
            profile=self.profile,
            skip_check=True,
        )


def _suited(location: str, options: Mapping[str, Any]) -> Mapping[str, str]:
    if location not in KNOWN_DATASETS or any(name in options for name in _OF_THE_NETWORK):
        return {}
    return SUITED_OPTIONS.get(location, {})


def _own_name(name: str, location: str, settings: Settings) -> str:
    if not JOB_NAME.fullmatch(name):
        raise UsageError(
            f"--name is {name!r} but must be 1 to {NAME_LIMIT} letters, digits and inner hyphens, "
            "such as ants-and-bees-2"
        )
    known = WorkflowRecord.read(settings.runs_dir / name)
    if known is not None and known.data != location:
        raise UsageError(
            f"the run {name} is on {known.data}, not on {location}: choose another --name"
        )
    return name


def _name(location: str, settings: Settings) -> str:
    """That of the data, with a number behind it where a run on other data has it."""
    stem = Path(location).name.split(".")[0]
    words = re.sub(r"[^a-zA-Z0-9]+", "-", stem).strip("-")[: NAME_LIMIT - 5].rstrip("-") or "run"
    for number in range(1, _MOST_ALIKE):
        name = words if number == 1 else f"{words}-{number}"
        known = WorkflowRecord.read(settings.runs_dir / name)
        if known is None or known.data == location:
            return name
    raise UsageError(f"there are {_MOST_ALIKE} runs called {words} already: give a --name")
