"""`clary predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from clary.cli.parser import refuse_options
from clary.errors import UsageError
from clary.formats.picture_inputs import find_pictures
from clary.formats.prediction import Format, write_predictions
from clary.sdk.answerers import find_answerer
from clary.sdk.processes import run_job_program
from clary.settings import Settings


def predict(
    model: str,
    /,
    *pictures: Annotated[str, Parameter(allow_leading_hyphen=True)],
    format: Format = "table",  # noqa: A002 - the option's name
    top: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
) -> int:
    """Classify pictures with a trained model, or by an endpoint.

    Args:
        model: A job's name or folder, latest, a model.tar.gz, a model folder, or an endpoint.
        pictures: Files, folders, URLs, or - for a picture on the standard input.
        format: How to print the answers.
        top: How many classes to print for each picture; 2 in the table, all elsewhere.
        batch_size: Pictures that go through the network at once; 32 by default.
        workers: Threads that decode pictures; one a core by default.
        device: cpu or cuda; a GPU by default where there is one.
        precision: The arithmetic; fp32 by default, as the model was judged.

    Raises:
        UsageError: there is no such model, endpoint or option.
        ServiceError: the endpoint fails, or the service does not answer.
    """
    own = {
        "--batch-size": batch_size,
        "--workers": workers,
        "--device": device,
        "--precision": precision,
    }
    given: dict[str, Any] = {"--format": format, "--top": top, **own}
    refuse_options("predict", pictures, list(given))
    if not pictures:
        raise UsageError(f"`clary predict {model}` needs pictures: files, folders, URLs, or -")
    settings = Settings.from_environment()
    found = find_answerer(model, settings)
    if found.model is None:
        _refuse_own(model, own)
        return _ask(model, settings, pictures, form=format, top=top)
    if found.is_endpoint:
        print(
            f"clary: {model} is a model and an endpoint: the model answers; `clary endpoints "
            f"invoke {model} PICTURE` asks the endpoint",
            file=sys.stderr,
        )
    arguments = [str(found.model), *pictures]
    arguments += [f"{name}={value}" for name, value in given.items() if value is not None]
    return run_job_program("predict", arguments)


def _ask(
    name: str,
    settings: Settings,
    pictures: Sequence[str],
    *,
    form: Format,
    top: int | None,
) -> int:
    # With boto3, which a model's answer does not need.
    from clary.sdk.predictor import Named, Predictor
    from clary.sdk.session import Session

    if top is not None and top < 1:
        raise UsageError(f"--top is {top}: give 1 or more")
    predictor = Predictor(name, Session.on_this_machine(settings))
    found = find_pictures(pictures, sys.stdin.buffer, Named)
    wanted = top or (2 if form == "table" else None)
    return int(write_predictions(predictor.predict_many(found, wanted), form, top))


def _refuse_own(name: str, own: dict[str, Any]) -> None:
    for option, value in own.items():
        if value is not None:
            raise UsageError(
                f"{option} is for models, but {name} is an endpoint, which has its own: "
                "leave it out"
            )
