"""What a training says when it has ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from clary.errors import ClaryError, Interrupted
from clary.formats.job_directory import JobDirectory
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.formats.converted_model import Agreement
    from clary.vision.finetuning import FinetuneResult


def say_result(result: FinetuneResult, console: Console, seconds: float) -> None:
    """The figures, and where the model is."""
    best = result.history.best
    lines = [
        f"trained   {len(result.history.epochs)} epochs in {seconds:.1f} s, everything included"
    ]
    if best is not None:
        lines.append(
            f"best      epoch {best.epoch}: valid_loss={best.valid_loss:.4f} "
            f"valid_accuracy={best.valid_accuracy:.4f}"
        )
    test = result.evaluation.get("test")
    if test is not None:
        low, high = test.interval
        lines.append(
            f"test      accuracy={test.accuracy:.4f} on {test.pictures} unseen pictures "
            f"(95 % interval {low:.4f} to {high:.4f})"
        )
    lines.append(f"model     {result.model_folder}")
    console.print("\n".join(lines), highlight=False)


def make_servable(
    result: FinetuneResult, directory: JobDirectory, settings: Settings, console: Console
) -> None:
    """Convert the model for serving, so that its endpoint starts in a second.

    Takes 2 to 7 s, once a model. A trial's model is not converted: hardly one of them is ever
    served. What goes wrong is said and costs nothing but those seconds later.

    Raises:
        FormatError: the job's hyperparameters are missing or damaged.
    """
    if directory.is_trial():
        return
    from clary.vision.caching import CacheStore
    from clary.vision.export.serving import convert_model
    from clary.vision.export.serving_bf16 import judge_bf16

    store = CacheStore.of(settings)
    begun = time.monotonic()
    try:
        conversion = convert_model(result.model_folder, store)
        agreement = judge_bf16(conversion.converted, result.dataset, store)
    except Exception as error:  # noqa: BLE001 - a training that has ended well fails no more
        reason = error if isinstance(error, ClaryError) else f"{type(error).__name__}: {error}"
        console.print(f"serving   not made ready: {reason}", highlight=False)
        return
    seconds = time.monotonic() - begun
    console.print(f"serving   made ready in {seconds:.1f} s, for `clary deploy`", highlight=False)
    if agreement is not None:
        console.print(f"bf16      {_in_words(agreement)}", highlight=False)


def _in_words(agreement: Agreement) -> str:
    same = round(agreement.agreement * agreement.judged)
    told = f"the same class as in fp32 for {same} of {agreement.judged} held-out pictures"
    return told if agreement.suffices else f"{told}: endpoints compute in fp32"


def say_report(page: Path, console: Console) -> None:
    """Where the report is."""
    console.print(f"report    {page}", highlight=False)


def say_what_next(job: str, console: Console) -> None:
    """What a person may type now."""
    console.print(
        f"\nnext      clary predict {job} PICTURE…      what is on a picture\n"
        f"          clary explain {job} PICTURE       where it looks\n"
        f"          clary deploy {job}                an endpoint that answers requests\n"
        f"          clary export {job} --format onnx  for other programs",
        highlight=False,
    )


def resumable(error: Interrupted, directory: JobDirectory) -> Interrupted:
    """The same, with what goes on from there; a trial is stopped for good.

    Raises:
        FormatError: the job's hyperparameters are missing or damaged.
    """
    if directory.is_trial():
        return error
    return Interrupted(f"{error}; `clary train --resume {directory.root.name}` goes on from there")
