"""Makes Clary's models ready to be served, and int8 ones of them: `python -m clary.jobs.convert`.

The service does it, too, when it has to; here it is done before, so that a person sees it, and
because only a person has the pictures that int8 is calibrated on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from clary.errors import ProgramFailed, ServiceError, UsageError
from clary.formats.converted_model import ConvertedModel, ConvertedPrecision
from clary.gpus import count_gpus
from clary.sdk.model_sources import is_clarys, opened_servable
from clary.sdk.processes import job_program_output
from clary.settings import Settings


@dataclass(frozen=True)
class Calibration:
    """What int8 costs: accuracies on `judged` pictures that it was not calibrated on, None where
    their classes are not known; `agreement` is the share of them on which both say the same.
    """

    pictures: int
    judged: int
    accuracy_before: float | None
    accuracy_after: float | None
    agreement: float


@dataclass(frozen=True)
class Conversion:
    """Where a model's networks lie, ready to be served; `made` just now, in `seconds`. A GPU is
    served from the model itself: `folder` is None.
    """

    folder: str | None
    made: bool
    seconds: float
    calibration: Calibration | None = None


def convert(
    location: Path, settings: Settings, *, precision: str = "auto", pictures: Path | None = None
) -> Conversion | None:
    """Convert a model unless that is done; what it says goes to stderr.

    Args:
        location: a model folder or an archive.
        settings: whose cache gets the networks.
        precision: "auto", "fp32", "bf16" or "int8".
        pictures: what int8 is calibrated on: a folder with one folder of pictures per class.

    Returns:
        What has come of it; None for a model that is served by its own script.

    Raises:
        UsageError: there is no model, int8 without pictures, pictures without int8, or a precision
            for a script.
        FormatError: the model is damaged.
        ProgramFailed: it cannot be converted; the program has said why.
    """
    if pictures is not None and precision != "int8":
        raise UsageError("--calibrate is for int8: add --precision int8")
    if pictures is not None:
        _require_pictures(pictures)
    with opened_servable(location) as folder:
        if not is_clarys(folder):
            if precision != "auto":
                raise UsageError(
                    f"--precision is for models of Clary's, but {location} is served by its own "
                    "script: leave it out"
                )
            return None
        if precision != "int8" and count_gpus():
            return Conversion(None, made=False, seconds=0.0)
        converted = ConvertedModel.of(folder, settings.cache_dir)
        if pictures is None:
            wanted: ConvertedPrecision = "int8" if precision == "int8" else "fp32"
            if converted.has(wanted):
                return Conversion(str(converted.folder), made=False, seconds=0.0)
            if wanted == "int8":
                raise UsageError(
                    "--precision int8 needs pictures to be calibrated on: add --calibrate photos/, "
                    "a folder with one folder of pictures per class"
                )
        words = [str(folder), f"--precision={precision}", "--json"]
        words += [] if pictures is None else [f"--calibrate={pictures}"]
        code, said = job_program_output("convert", words)
    if code:
        raise ProgramFailed(code)
    return _conversion(said)


def _require_pictures(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(
            f"--calibrate is {folder} but there is no such folder: give one with one folder of "
            "pictures per class"
        )
    if next(folder.iterdir(), None) is None:
        raise UsageError(
            f"--calibrate is {folder} but that folder is empty: give one with one folder of "
            "pictures per class"
        )


def _conversion(said: str) -> Conversion:
    lines = said.strip().splitlines()
    try:
        content = json.loads(lines[-1])
        told = content.get("calibration")
        calibration = None
        if told:
            before, after = told["accuracy_before"], told["accuracy_after"]
            calibration = Calibration(
                int(told["pictures"]),
                int(told["judged"]),
                None if before is None else float(before),
                None if after is None else float(after),
                float(told["agreement"]),
            )
        return Conversion(
            str(content["folder"]), bool(content["made"]), float(content["seconds"]), calibration
        )
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise ServiceError(
            f"the conversion has ended without saying what has come of it: {said[-200:]!r}"
        ) from error
