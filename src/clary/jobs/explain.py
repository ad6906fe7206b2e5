"""Explain one answer: `python -m clary.jobs.explain MODEL PICTURE [-o FILE] [--class NAME]`.

Writes a PNG with the original, the heat map over it and the likeliest classes; prints the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from clary.errors import DataError, UsageError
from clary.formats.files import replacing
from clary.formats.model_archive import locate_model
from clary.jobs.program import ProgramParser, run_program
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.vision.explain import Explanation, Prediction

PICTURE_HEIGHT = 420
PANEL_WIDTH = 400
MARGIN = 28
PAPER, INK, FAINT, TRACK, ACCENT = "#fbfaf8", "#1d1c1a", "#6c6964", "#e6e3dd", "#b8442c"


def main(arguments: Sequence[str]) -> int:
    """Explain one picture; returns 0.

    Raises:
        ClaryError: the model, the picture or the class cannot be used.
    """
    parser = ProgramParser("explain", __doc__)
    parser.add_argument("model", help="a model.tar.gz, a model folder, a job directory or name")
    parser.add_argument("picture", type=Path, help="the picture to explain")
    parser.add_argument("-o", "--output", type=Path, help="the PNG to write")
    parser.add_argument("--class", dest="target", help="a class; default is the likeliest one")
    options = parser.parse_args(arguments)
    output = options.output or Path(f"{options.picture.stem}-explained.png")
    if output.suffix.lower() != ".png":
        raise UsageError(f"--output is {output} but the picture is a PNG: end its name in .png")
    encoded = _read(options.picture)

    from clary.vision.decoding import decode_picture
    from clary.vision.explain import explain
    from clary.vision.geometry import EvaluationTransform
    from clary.vision.models import load_model

    location = locate_model(options.model, Settings.from_environment().jobs_dir)
    classifier, description = load_model(location)
    # The very pixels that `predict` sees: a large JPEG is decoded at a reduced scale.
    min_side = EvaluationTransform(description.preprocessing).min_side
    picture = decode_picture(encoded, str(options.picture), min_side=min_side)
    explanation = explain(classifier, description, picture, target=options.target)
    with replacing(output) as temporary:
        draw(explanation, options.picture.name).save(temporary, format="PNG", optimize=True)
    print(table(explanation))
    print(f"\nWhat speaks for {explanation.target.name}: {output}")
    return 0


def table(explanation: Explanation) -> str:
    """The likeliest classes as text, a line each; a star marks the one that is explained."""
    rows = shown(explanation)
    width = max(len(row.name) for row in rows)
    return "\n".join(
        f"{'*' if row.label == explanation.target.label else ' '} {row.name:<{width}}  "
        f"{row.probability:6.1%}  {'█' * round(row.probability * 24)}"
        for row in rows
    )


def shown(explanation: Explanation) -> tuple[Prediction, ...]:
    """The likeliest classes, and the explained one when it is not among them."""
    if any(row.label == explanation.target.label for row in explanation.top):
        return explanation.top
    return (*explanation.top, explanation.target)


def draw(explanation: Explanation, title: str) -> Image.Image:
    """The original, the heat map over it, and the likeliest classes as bars, side by side."""
    panels = [_scaled(explanation.picture), _scaled(explanation.overlay())]
    width = panels[0].width
    height = max(panels[0].height, 300)
    sheet = Image.new(
        "RGB", (2 * width + PANEL_WIDTH + 4 * MARGIN, height + 2 * MARGIN + 30), PAPER
    )
    pen = ImageDraw.Draw(sheet)
    small, normal, bold = (ImageFont.load_default(size) for size in (14, 17, 19))
    headings = (title, f"what speaks for {explanation.target.name}")
    for column, (panel, heading) in enumerate(zip(panels, headings, strict=True)):
        left = MARGIN + column * (width + MARGIN)
        pen.text((left, MARGIN - 4), _shortened(pen, heading, normal, width), INK, normal)
        sheet.paste(panel, (left, MARGIN + 30))
    left, top = 2 * width + 3 * MARGIN, MARGIN + 30
    pen.text((left, MARGIN - 6), "likeliest classes", INK, bold)
    for row in shown(explanation):
        chosen = row.label == explanation.target.label
        name = _shortened(pen, row.name, normal, PANEL_WIDTH - 80)
        pen.text((left, top), name, ACCENT if chosen else INK, normal)
        pen.text((left + PANEL_WIDTH, top + 2), f"{row.probability:.1%}", FAINT, small, anchor="ra")
        bar = (left, top + 25, left + PANEL_WIDTH, top + 33)
        pen.rounded_rectangle(bar, radius=4, fill=TRACK)
        length = max(PANEL_WIDTH * row.probability, 8)
        fill = ACCENT if chosen else FAINT
        pen.rounded_rectangle((bar[0], bar[1], left + length, bar[3]), radius=4, fill=fill)
        top += 48
    return sheet


def _scaled(pixels: object) -> Image.Image:
    picture = Image.fromarray(pixels)  # type: ignore[arg-type]
    width = max(1, round(picture.width * PICTURE_HEIGHT / picture.height))
    height = PICTURE_HEIGHT
    if width > 2 * PICTURE_HEIGHT:
        width, height = 2 * PICTURE_HEIGHT, max(1, round(height * 2 * PICTURE_HEIGHT / width))
    enlarged = picture.height < PICTURE_HEIGHT // 4
    method = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return picture.resize((width, height), method)


def _shortened(pen: ImageDraw.ImageDraw, text: str, font: object, width: float) -> str:
    if pen.textlength(text, font=font) <= width:  # type: ignore[arg-type]
        return text
    while text and pen.textlength(text + "…", font=font) > width:  # type: ignore[arg-type]
        text = text[:-1]
    return text + "…"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}): give the path of a picture"
        ) from error


if __name__ == "__main__":
    run_program(main)
