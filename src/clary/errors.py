"""Every error that Clary raises on purpose.

    ClaryError                  exit 1   the root: catch this to catch them all
    ├── UsageError              exit 2   an option, an argument or a combination of them
    │   └── NothingLeftToTry             a tuning job that has made all trials that it could
    ├── DataError                        pictures, manifests, archives, class maps
    │   ├── UnreadablePicture            one picture that cannot be decoded
    │   └── DownloadError                a data set or weights that could not be fetched
    ├── ModelError                       an architecture or weights that do not fit
    ├── FormatError                      a file of Clary's own that is damaged or too new
    ├── StorageError                     a folder that cannot be written, a full disk
    ├── ServiceError                     the service is not there, or refuses what is asked
    │   └── ServiceUnreachable           nobody answers, or no more
    ├── HistoryError                     what a training's history is asked for is not in it
    │   ├── TensorUnavailable            a tensor that was not saved, at all or at that step
    │   │   └── StatisticsOnly           its statistics were saved, not the tensor
    │   ├── StepUnavailable              a step that was not saved and never will be
    │   └── StepNotYetAvailable          a step that may still come
    ├── SpaceExhausted                   every combination of hyperparameters has been tried
    ├── ProgramFailed           its own  a program that has said itself what went wrong
    ├── StageFailed             its own  a stage of a run that could not be done
    ├── TrainingError                    a run that cannot go on
    │   ├── NonFiniteLoss                the loss became NaN or infinite
    │   ├── OutOfMemory                  the smallest batch still does not fit
    │   └── Interrupted         exit 130 stopped by the user; a checkpoint is kept
    └── ExportError                      a conversion that failed
        └── ParityError                  the converted model answers differently

A message is a sentence with the value, the bound and what to do. `exit_code` is what a process
ends with when the error reaches its top.
"""

from __future__ import annotations


class ClaryError(Exception):
    """The root of all errors that Clary raises on purpose."""

    exit_code = 1


class UsageError(ClaryError):
    """An option, an argument or a combination of them cannot be used."""

    exit_code = 2


class NothingLeftToTry(UsageError):
    """A tuning job is to go on but has made all its trials, or tried all combinations."""


class DataError(ClaryError):
    """The pictures, their layout, a manifest or an archive cannot be used."""


class UnreadablePicture(DataError):
    """One picture cannot be decoded; `name` says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{name} cannot be read as a picture ({reason}): replace or remove it, "
            "and run `clary check` to find all such files at once"
        )
        self.name = name
        self.reason = reason


class DownloadError(DataError):
    """A data set or weights could not be fetched."""


class ModelError(ClaryError):
    """An architecture is unknown, or weights do not fit it."""


class FormatError(ClaryError):
    """A file of Clary's own is damaged, or of a later version."""


class StorageError(ClaryError):
    """A folder cannot be written, or the disk is full."""


class ServiceError(ClaryError):
    """The service cannot be started or reached, or refuses what is asked of it."""


class ServiceUnreachable(ServiceError):
    """Nobody answers where the service was, or the connection was cut off."""


class HistoryError(ClaryError):
    """What the history of a training is asked for is not in it."""


class TensorUnavailable(HistoryError):
    """A tensor was not saved, at all or at that step."""


class StatisticsOnly(TensorUnavailable):
    """The statistics of a tensor were saved, but not the tensor itself."""


class StepUnavailable(HistoryError):
    """A step was not saved, and never will be."""


class StepNotYetAvailable(HistoryError):
    """A step is not there yet, and may still come."""


class SpaceExhausted(ClaryError):
    """Every combination of a space that can be counted has been tried."""


class ProgramFailed(ClaryError):
    """A program of Clary's has ended badly and has said why: the message is empty."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code or 1


class StageFailed(ClaryError):
    """A stage of a run of the whole workflow could not be done; `stage` says which.

    Args:
        stage: the one that failed.
        reason: why.
        first: whether no stage comes before it, whose results would be kept.
    """

    def __init__(self, stage: str, reason: ClaryError, *, first: bool = False) -> None:
        kept = f"what was done before {stage} is kept: mend it, and the same command goes on there"
        super().__init__(
            f"the stage {stage} failed: {reason or 'the program has said why'}\n"
            f"{'mend it, and run the same command again' if first else kept}"
        )
        self.stage = stage
        self.exit_code = reason.exit_code


class TrainingError(ClaryError):
    """A run cannot go on."""


class NonFiniteLoss(TrainingError):
    """The training loss became NaN or infinite."""


class OutOfMemory(TrainingError):
    """Even the smallest batch does not fit into memory."""


class Interrupted(TrainingError):
    """The user stopped the run; a checkpoint is kept."""

    exit_code = 130


class ExportError(ClaryError):
    """A model could not be converted."""


class ParityError(ExportError):
    """A converted model gives other answers than the original."""
