"""How the model does on pictures that it has not learned from, and the pages about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from clary.errors import FormatError
from clary.formats.evaluation import Evaluation, Evaluations
from clary.formats.text import counted
from clary.formats.workflow_record import (
    SPLIT_WORDS,
    Evaluated,
    Found,
    Reported,
    StageName,
    Trained,
    Tuned,
)
from clary.sdk.tuning_recording import find_record, record_folder
from clary.sdk.workflow.stage import Outcome, Progress, Run, directory_of

EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"


class Evaluate:
    """Reads what the training has judged of its model at its end."""

    name: ClassVar[StageName] = "evaluate"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """The training."""
        return {"job": run.found(Trained).job}

    def holds(self, run: Run, found: Found) -> bool:
        """Always: a training that has ended judges its model no more."""
        return isinstance(found, Evaluated)

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Read the evaluation of the test split or, without one, of the validation split.

        Raises:
            FormatError: there is none, or it is damaged.
        """
        path = directory_of(run, run.found(Trained).job).output_data / EVALUATION_FILE
        splits = Evaluations.read(path).splits
        names: tuple[Literal["test", "valid"], ...] = ("test", "valid")
        split = next((name for name in names if name in splits), None)
        if split is None:
            raise FormatError(f"{path} tells of no held-out picture: give --test-fraction 0.1")
        found = _found(split, splits[split])
        return Outcome(_sentence(found), found)


class Report:
    """Puts what the rules have said last into the page about the training, and writes the one
    about the tuning.
    """

    name: ClassVar[StageName] = "report"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """The training and the tuning."""
        return {"job": run.found(Trained).job, "tuning": _tuning(run)}

    def holds(self, run: Run, found: Found) -> bool:
        """Whether the pages are still there."""
        if not isinstance(found, Reported):
            return False
        pages = [found.page, *([found.tuning_page] if found.tuning_page else [])]
        return all(Path(page).is_file() for page in pages)

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Write the pages.

        Raises:
            ClaryError: one cannot be written.
            Interrupted: a stop was asked for.
        """
        run.listener.moved(self.name, Progress("writing the pages"))
        directory = directory_of(run, run.found(Trained).job)
        page = directory.output_data / REPORT_FILE
        # The training has written it; rules have ended after that.
        rules_only = ["--rules-only", "--output", str(page)] if page.is_file() else []
        run.run_program("report", [str(directory.root), *rules_only])
        tuning_page = None
        tuning = _tuning(run)
        if tuning is not None and find_record(tuning, run.settings) is not None:
            folder = record_folder(tuning, run.settings)
            _, printed = run.run_program("tuning_report", [str(folder)])
            tuning_page = printed.strip()
        found = Reported(page=str(page), tuning_page=tuning_page)
        sentence = "one page about the training"
        return Outcome(f"{sentence}, one about the tuning" if tuning_page else sentence, found)


def _tuning(run: Run) -> str | None:
    """The tuning job, where there was one with a result."""
    if not run.plan.trials:
        return None
    tuned = run.found(Tuned)
    return tuned.job if tuned.parameters else None


def _found(split: Literal["test", "valid"], judged: Evaluation) -> Evaluated:
    known = [one for one in judged.classes if one.recall is not None]
    worst = min(known, key=lambda one: one.recall or 0.0, default=None)
    return Evaluated(
        split=split,
        pictures=judged.pictures,
        accuracy=judged.accuracy,
        interval=judged.interval,
        worst_class=worst.name if worst else None,
        worst_recall=worst.recall if worst else None,
        ece=judged.calibrated.ece,
    )


def _sentence(found: Evaluated) -> str:
    low, high = found.interval
    words = (
        f"{found.accuracy:.1%} of "
        f"{counted(found.pictures, f'{SPLIT_WORDS[found.split]} picture')} right "
        f"(95 % interval {low:.1%} to {high:.1%})"
    )
    if found.worst_class is not None and found.worst_recall is not None:
        words += f"; worst class {found.worst_class}: {found.worst_recall:.1%}"
    return f"{words}; calibration error {found.ece:.1%}"
