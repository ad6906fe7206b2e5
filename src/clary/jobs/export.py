"""Export a saved model: `python -m clary.jobs.export MODEL --format onnx|openvino|torchscript`.

The file takes pixels of pictures of any size and gives probabilities: the preprocessing is
inside. It is written only when it answers as the model does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clary.formats.model_archive import locate_model
from clary.jobs.program import ProgramParser, run_program
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.vision.export import ExportResult

_USAGE = {
    "onnx": (
        "import numpy, onnxruntime, PIL.Image",
        'pixels = numpy.asarray(PIL.Image.open("picture.jpg").convert("RGB"))[None]',
        'print(onnxruntime.InferenceSession("{path}").run(None, {{"images": pixels}})[0])',
    ),
    "openvino": (
        "import numpy, openvino, PIL.Image",
        'pixels = numpy.asarray(PIL.Image.open("picture.jpg").convert("RGB"))[None]',
        'print(openvino.Core().compile_model("{path}", "CPU")(pixels)["probabilities"])',
    ),
    "torchscript": (
        "import numpy, torch, PIL.Image",
        'pixels = torch.tensor(numpy.asarray(PIL.Image.open("picture.jpg").convert("RGB")))[None]',
        'print(torch.jit.load("{path}")(pixels))',
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Export the model that the arguments name.

    Returns:
        0.

    Raises:
        FormatError: there is no such model, or it is damaged.
        ExportError: the conversion failed, or the file answers differently.
        UsageError: an argument is not understood.
    """
    parser = ProgramParser("export", __doc__)
    parser.add_argument("model", help="a model folder, a model.tar.gz, or a job")
    parser.add_argument("--format", choices=tuple(_USAGE), default="onnx")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--compare", type=Path, nargs="+", metavar="PICTURE", help="more pictures to compare on"
    )
    given = parser.parse_args(arguments)
    location = locate_model(given.model, Settings.from_environment().jobs_dir)

    from clary.vision.export import export_model

    print(f"exporting {location} to {given.format} …", file=sys.stderr)
    _print(export_model(location, given.format, given.output, given.compare))
    return 0


def _print(result: ExportResult) -> None:
    from clary.vision.export import PARITY_BOUND

    names = " + ".join(str(file) for file in result.files)
    print(f"wrote {names}: {result.size_bytes / 1e6:.1f} MB in {result.seconds:.0f} s")
    print(
        f"parity: probabilities differ by {result.difference:.1e} at most on {result.pictures} "
        f"pictures (bound {PARITY_BOUND:.0e})"
    )
    print(f"{len(result.classes)} classes: {', '.join(result.classes[:8])}{_more(result)}")
    print("use it:")
    for line in _USAGE[result.format]:
        print("  " + line.format(path=result.path))


def _more(result: ExportResult) -> str:
    return ", …" if len(result.classes) > 8 else ""


if __name__ == "__main__":
    run_program(main)
