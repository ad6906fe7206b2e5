"""Held-out pictures, asked about twice: by Clary's client, and by boto3 in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from clary.errors import ServiceError
from clary.formats.model_archive import ModelDescription
from clary.formats.prediction import Prediction
from clary.formats.service_record import ServiceRecord
from clary.formats.text import counted
from clary.formats.workflow_record import (
    SPLIT_WORDS,
    AskedPicture,
    Checked,
    Deployed,
    Found,
    Predicted,
    StageName,
    Trained,
)
from clary.sdk.data_checking import SPLIT_OPTIONS, given_arguments
from clary.sdk.environment import changed, take_aws
from clary.sdk.predictor import Answer, Predictor, ranked
from clary.sdk.processes import output_of, start_quietly
from clary.sdk.workflow.stage import Outcome, Progress, Run, directory_of

PICTURES = 6
# Batches are put together differently, and bf16 rounds to 3 digits.
_TOLERANCE = 0.02


class _HeldOut(NamedTuple):
    file: Path
    label: str


class Predict:
    """Asks the endpoint about some pictures whose right labels are known."""

    name: ClassVar[StageName] = "predict"

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """The model, where it is served, and the pictures."""
        deployed = run.found(Deployed)
        return {
            "job": run.found(Trained).job,
            "endpoint": deployed.endpoint,
            "created": str(deployed.created),
            "pictures": run.found(Checked).fingerprint,
        }

    def holds(self, run: Run, found: Found) -> bool:
        """Whether the pictures are still there to be looked at."""
        return isinstance(found, Predicted) and all(
            (run.pictures / asked.file).is_file() for asked in found.pictures
        )

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Copy the pictures and ask about them.

        Raises:
            DataError: no picture is held out.
            ServiceError: the endpoint fails, or its answers to both differ.
            Interrupted: a stop was asked for.
        """
        run.listener.moved(self.name, Progress("choosing held-out pictures"))
        for asked in before.pictures if isinstance(before, Predicted) else ():
            (run.pictures / asked.file).unlink(missing_ok=True)
        split, held_out = _held_out(run)
        endpoint = run.found(Deployed).endpoint
        run.listener.moved(self.name, Progress("asking with clary.sdk.Predictor"))
        predictor = Predictor(endpoint, run.session)
        predictions, seconds = [], []
        for picture in held_out:
            run.require_going_on(self.name)
            began = time.monotonic()
            predictions.append(run.ask(partial(predictor.predict, picture.file)))
            seconds.append(time.monotonic() - began)
        run.listener.moved(self.name, Progress("asking with boto3"))
        classes = ModelDescription.read(directory_of(run, run.found(Trained).job).model).classes
        answers = _asked_with_boto3(run, endpoint, [picture.file for picture in held_out])
        compared = tuple(
            _compared(picture, prediction, answer, classes)
            for picture, prediction, answer in zip(held_out, predictions, answers, strict=True)
        )
        right = sum(one.answer == one.label for one in compared)
        count = counted(len(compared), f"{SPLIT_WORDS[split]} picture")
        sentence = (
            f"{right} of {count} right, Predictor and boto3 are told the same; "
            f"{1000 * statistics.median(seconds):.0f} ms a picture"
        )
        return Outcome(sentence, Predicted(split=split, pictures=compared))


def _held_out(run: Run) -> tuple[Literal["valid", "test"], list[_HeldOut]]:
    words = [run.plan.location, f"--output={run.pictures}", f"--count={PICTURES}"]
    words += given_arguments(run.plan.options, SPLIT_OPTIONS)
    _, printed = run.run_program("held_out", words)
    chosen = json.loads(printed)
    pictures = [_HeldOut(run.pictures / one["file"], one["label"]) for one in chosen["pictures"]]
    return chosen["split"], pictures


def _asked_with_boto3(run: Run, endpoint: str, files: Sequence[Path]) -> list[Any]:
    """What a program of AWS is told, in the environment that `clary env` gives."""
    record = ServiceRecord.read(run.settings)
    if record is None:
        raise ServiceError("the service has ended: the same command starts it again")
    environment = changed(os.environ, take_aws(run.settings, record, os.environ))
    command = [sys.executable, str(run.script), endpoint, *map(str, files)]
    with start_quietly(command, environment) as process:
        printed, said = output_of(process, "boto3 asked", stopped=run.stop.is_set)
    if process.returncode:
        last = said.strip().rpartition("\n")[2] or f"exit code {process.returncode}"
        raise ServiceError(f"boto3 is not answered by the endpoint {endpoint}: {last}")
    answers: list[Any] = json.loads(printed)
    return answers


def _compared(
    picture: _HeldOut, prediction: Prediction, answer: Any, classes: Sequence[str]
) -> AskedPicture:
    """Both answers beside each other.

    boto3's is a list of numbers in the order of the classes, Clary's a name for each.
    """
    rows = ranked(Answer(json.dumps(answer).encode(), "application/json"))
    named = [(classes[int(position)], value) for position, value in rows]
    own = dict(prediction.ranked)
    apart = max(abs(value - own.get(name, 0.0)) for name, value in named)
    if apart > _TOLERANCE:
        raise ServiceError(
            f"Predictor and boto3 are told different probabilities of {picture.file.name}, "
            f"{apart:.3f} apart where {_TOLERANCE} is rounding: `clary endpoints logs` shows what "
            "the replicas say"
        )
    label, probability = prediction.ranked[0]
    return AskedPicture(
        file=picture.file.name,
        label=picture.label,
        answer=label,
        probability=min(1.0, probability),
        boto3_answer=named[0][0],
        boto3_probability=min(1.0, named[0][1]),
    )
