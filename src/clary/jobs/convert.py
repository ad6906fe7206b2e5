"""Make a model ready to be served: `python -m clary.jobs.convert MODEL [--calibrate PICTURES]`.

Its network is converted once and kept in the cache, so that endpoints start in a second. With
`--calibrate` it is also quantised to int8 on your own pictures, and judged before and after.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from clary.errors import UsageError
from clary.formats.model_archive import locate_model, opened_model
from clary.formats.replica import Precision
from clary.jobs.program import ProgramParser, run_program
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.formats.converted_model import Calibration
    from clary.vision.export.serving import Conversion


def main(arguments: Sequence[str]) -> int:
    """Convert the model that the arguments name; returns 0.

    Raises:
        ClaryError: the model, or the pictures, cannot be used, or the conversion failed.
    """
    parser = ProgramParser("convert", __doc__)
    parser.add_argument("model", help="a model folder, a model.tar.gz, or a job")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto")
    parser.add_argument(
        "--calibrate", metavar="PICTURES", help="labelled pictures like those it will see"
    )
    parser.add_argument("--json", action="store_true", help="say the outcome as JSON, a line")
    given = parser.parse_args(arguments)
    if given.calibrate is not None and given.precision not in {"auto", "int8"}:
        raise UsageError(
            f"--precision is {given.precision}, which needs no --calibrate: leave out one of them"
        )
    settings = Settings.from_environment()
    location = locate_model(given.model, settings.jobs_dir)

    # From here on torch is loaded, which takes seconds.
    from clary.vision.caching import CacheStore
    from clary.vision.export.serving import convert_model
    from clary.vision.export.serving_int8 import calibrate, read_calibration

    store = CacheStore.of(settings)
    calibration: Calibration | None = None
    with opened_model(location) as folder:
        print(f"converting {location} …", file=sys.stderr)
        conversion = convert_model(folder, store)
        if given.calibrate is not None:
            print(f"calibrating on {given.calibrate} …", file=sys.stderr)
            calibration = calibrate(conversion.converted, given.calibrate, settings)
        elif given.precision == "int8":
            calibration = read_calibration(conversion.converted)
    if given.json:
        print(json.dumps(_outcome(conversion, calibration, given.precision)))
    else:
        _print(conversion, calibration)
    return 0


def _outcome(
    conversion: Conversion, calibration: Calibration | None, precision: Precision
) -> dict[str, object]:
    folder: Path = conversion.converted.folder
    return {
        "folder": str(folder),
        "fingerprint": folder.name,
        "precision": "int8" if calibration else precision,
        "made": conversion.made,
        "seconds": round(conversion.seconds, 3),
        "difference": conversion.difference,
        "difference_bf16": conversion.difference_bf16,
        "calibration": calibration.model_dump(exclude={"version"}) if calibration else None,
    }


def _print(conversion: Conversion, calibration: Calibration | None) -> None:
    how = f"in {conversion.seconds:.1f} s" if conversion.made else "before"
    print(f"converted  {how}: {conversion.converted.folder}")
    if conversion.difference is not None:
        in_bf16 = conversion.difference_bf16
        also = "" if in_bf16 is None else f", by {in_bf16:.1e} in bf16"
        print(f"parity     probabilities differ by {conversion.difference:.1e} at most{also}")
    if calibration is None:
        return
    print(f"int8       calibrated on {calibration.pictures} pictures")
    if calibration.accuracy_before is not None and calibration.accuracy_after is not None:
        print(
            f"accuracy   {calibration.accuracy_before:.4f} before, "
            f"{calibration.accuracy_after:.4f} after, on {calibration.judged} pictures that it was "
            "not calibrated on"
        )
    print(f"the same answer on {calibration.agreement:.1%} of {calibration.judged} pictures")


if __name__ == "__main__":
    run_program(main)
