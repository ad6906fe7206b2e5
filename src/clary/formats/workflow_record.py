"""How far a run of the whole workflow has come, and what each stage has found: `run.json`.

The SDK writes it whenever a stage begins and ends, so that the same command goes on after a kill.
Format version 1; see `docs/formats/workflow_record.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from clary.formats.files import write_text
from clary.formats.records import read_record

VERSION = 1
RECORD_FILE = "run.json"

StageName = Literal["check", "tune", "train", "evaluate", "report", "deploy", "predict"]
STAGES: tuple[StageName, ...] = get_args(StageName)

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


# What people call the pictures of a split that a model is judged on.
SPLIT_WORDS: Mapping[str, str] = {"test": "held-out", "valid": "validation"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Checked(_Frozen):
    """What there is to learn from. `fingerprint` is another one when a picture, a label or a split
    is another one.
    """

    stage: Literal["check"] = "check"
    fingerprint: str
    pictures: Count
    classes: Count
    train: Count
    valid: Count
    test: Count
    warnings: Count = 0


class Tuned(_Frozen):
    """A tuning job: the tuned hyperparameters of its best trial as text, what that trial reached,
    and how many trials there were. `limit_s` is the time limit that cut it, None where none did;
    `earlier` the job that this one goes on from, should it not have begun.
    """

    stage: Literal["tune"] = "tune"
    job: str
    earlier: str | None = None
    parameters: dict[str, str] = {}
    objective: float | None = None
    trials: Count = 0
    limit_s: Seconds | None = None


class Trained(_Frozen):
    """A training job, and what was seen of it: the verdict of the rules, and in a sentence where
    its time went. `limit_s` is the time limit that cut it, None where none did; `earlier` the job
    that this one goes on from, should it not have begun.
    """

    stage: Literal["train"] = "train"
    job: str
    earlier: str | None = None
    epochs: Count = 0
    valid_accuracy: float | None = None
    rules: str = ""
    time: str = ""
    limit_s: Seconds | None = None


class Evaluated(_Frozen):
    """How the model does on pictures that it has not learned from. `worst_class` is the one of
    which the least is found, `ece` the expected calibration error.
    """

    stage: Literal["evaluate"] = "evaluate"
    split: Literal["valid", "test"]
    pictures: Count
    accuracy: Share
    interval: tuple[Share, Share]
    worst_class: str | None = None
    worst_recall: Share | None = None
    ece: Share


class Reported(_Frozen):
    """The pages about the training and, where there was one, the tuning."""

    stage: Literal["report"] = "report"
    page: str
    tuning_page: str | None = None


class Deployed(_Frozen):
    """The endpoint, when it was made, and the archive that it serves; None and "" where the run
    has not seen it in service yet.
    """

    stage: Literal["deploy"] = "deploy"
    endpoint: str
    created: AwareDatetime | None = None
    archive: str = ""


class AskedPicture(_Frozen):
    """A held-out picture, its right label, and what the endpoint answered: Clary's client
    (`answer`), and boto3 in a process of its own.
    """

    file: str
    label: str
    answer: str
    probability: Share
    boto3_answer: str
    boto3_probability: Share


class Predicted(_Frozen):
    """Pictures that the endpoint was asked about, of the split that the model is judged on."""

    stage: Literal["predict"] = "predict"
    split: Literal["valid", "test"] = "test"
    pictures: tuple[AskedPicture, ...] = ()


Found: TypeAlias = Annotated[
    Checked | Tuned | Trained | Evaluated | Reported | Deployed | Predicted,
    Field(discriminator="stage"),
]


class StageRecord(_Frozen):
    """One stage: `inputs` stands for all that it depends on, `sentence` says what has come of it
    in a line, `seconds` is how long it took. `found` of a stage that runs names its job.
    """

    stage: StageName
    status: Literal["running", "done"]
    inputs: str
    sentence: str = ""
    seconds: Seconds = 0.0
    began: AwareDatetime
    found: Found | None = None


class WorkflowRecord(_Frozen):
    """A run: its name, where its pictures are, and its stages in their order."""

    version: int = VERSION
    name: str
    data: str
    stages: tuple[StageRecord, ...] = ()

    def of(self, stage: StageName) -> StageRecord | None:
        """What is known of a stage; None before it has begun."""
        return next((one for one in self.stages if one.stage == stage), None)

    def having(self, stage: StageRecord) -> WorkflowRecord:
        """The same, with this in place of what was known of the stage."""
        others = {one.stage: one for one in self.stages}
        others[stage.stage] = stage
        ordered = tuple(others[name] for name in STAGES if name in others)
        return self.model_copy(update={"stages": ordered})

    def write(self, folder: Path) -> None:
        """Write `run.json` into a folder, which is made where it is missing.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / RECORD_FILE, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> WorkflowRecord | None:
        """Read `run.json` of a folder; None where there is none.

        Raises:
            FormatError: it is damaged, or of a later version.
        """
        path = folder / RECORD_FILE
        if not path.exists():
            return None
        remedy = "remove it, and the run begins anew"
        return read_record(cls, path, VERSION, "the record of a run", remedy=remedy)
