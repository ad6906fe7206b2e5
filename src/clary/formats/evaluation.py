"""How well a model does on each split, as two processes exchange it: `evaluation.json`.

Format version 1; see `docs/formats/evaluation.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from clary.formats.files import write_text
from clary.formats.records import read_record

VERSION = 1
MISTAKES = 50

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ClassFigures(_Frozen):
    """One class. A figure is None where there is nothing to divide by.

    `support` counts the pictures of the class, `predicted` the pictures taken for it.
    """

    name: str
    support: Count
    predicted: Count
    precision: Share | None
    recall: Share | None
    f1: Share | None


class Averages(_Frozen):
    """Precision, recall and F1 over the classes that have pictures."""

    precision: Share
    recall: Share
    f1: Share


class ConfusedPair(_Frozen):
    """`count` pictures of the class `true` were taken for `predicted`: `share` of that class."""

    true: Count
    predicted: Count
    count: Count
    share: Share


class Mistake(_Frozen):
    """A picture with a high loss, usually a wrong answer; classes are positions in `classes`.

    `probability` is the predicted class's, `true_probability` the true one's; `loss` is in nats.
    """

    index: Count
    name: str
    true: Count
    predicted: Count
    probability: Share
    true_probability: Share
    loss: Annotated[float, Field(ge=0)]


class ReliabilityBin(_Frozen):
    """Predictions whose probability lies in (`lower`, `upper`]; None where there are none."""

    lower: Share
    upper: Share
    count: Count
    confidence: Share | None
    accuracy: Share | None


class Calibration(_Frozen):
    """How far probabilities can be believed: expected calibration error, loss in nats, Brier."""

    ece: Share
    nll: Annotated[float, Field(ge=0)]
    brier: Annotated[float, Field(ge=0, le=2)]
    bins: tuple[ReliabilityBin, ...]


class Evaluation(_Frozen):
    """How well a model does on one split.

    `confusion` lists (true, predicted, count) for every pair that occurs. `top_losses` are the
    pictures with the highest loss, at most 50. `interval` is the 95 % Wilson interval of
    `accuracy`.
    """

    pictures: Count
    right: Count
    accuracy: Share
    interval: tuple[Share, Share]
    top_k: Annotated[int, Field(ge=1)]
    top_k_accuracy: Share
    balanced_accuracy: Share
    macro: Averages
    weighted: Averages
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[Count, Count, Count], ...]
    confused_pairs: tuple[ConfusedPair, ...]
    temperature: Annotated[float, Field(gt=0)]
    uncalibrated: Calibration
    calibrated: Calibration
    top_losses: tuple[Mistake, ...] = Field(max_length=MISTAKES)

    def summary(self) -> dict[str, float]:
        """The few figures that belong into `model.json`."""
        return {
            "pictures": self.pictures,
            "accuracy": self.accuracy,
            f"top_{self.top_k}_accuracy": self.top_k_accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro.f1,
            "loss": self.calibrated.nll,
            "ece": self.calibrated.ece,
        }


class Evaluations(_Frozen):
    """The evaluations of a model by split: `train`, `valid`, `test`."""

    version: int = VERSION
    splits: dict[str, Evaluation]

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def read(cls, path: Path) -> Evaluations:
        """Read the file.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        return read_record(cls, path, VERSION, "an evaluation")
