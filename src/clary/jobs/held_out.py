"""Copy some pictures that a training does not learn from: `python -m clary.jobs.held_out`.

They are those of the test split or, without one, of the validation split, from as many classes as
can be. Prints JSON: `{"split": "test", "pictures": [{"file": "ants-1.jpg", "label": "ants"}, …]}`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clary.errors import DataError
from clary.formats.files import replacing
from clary.formats.picture_inputs import CONTENT_TYPES, content_type_of
from clary.formats.text import valid_text
from clary.jobs.data_arguments import add_data_arguments, opened
from clary.jobs.live_progress import LiveProgress
from clary.jobs.program import ProgramParser, run_program

if TYPE_CHECKING:
    from clary.vision.datasets import Split

_PNG = ".png"


def main(arguments: Sequence[str]) -> int:
    """Copy the pictures of the data set that the arguments name.

    Returns:
        0.

    Raises:
        DataError: there is no such data set, or no picture is held out.
        StorageError: the folder cannot be written.
        UsageError: an argument is not understood.
    """
    parser = ProgramParser("held_out", __doc__)
    add_data_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write")
    parser.add_argument("--count", type=int, default=6, help="how many, at most")
    given = parser.parse_args(arguments)
    if given.count < 1:
        parser.error(f"--count is {given.count}: give 1 or more")
    with LiveProgress() as progress:
        dataset = opened(given, progress)
    name = next((name for name in ("test", "valid") if len(dataset.splits.get(name, ()))), None)
    if name is None:
        raise DataError(
            f"no picture of {given.data} is held out: put some into test/, or give "
            "--test-fraction 0.1 or more"
        )
    split = dataset.splits[name]
    pictures = []
    for index in chosen(split, len(dataset.classes), given.count):
        label = dataset.classes[int(split.labels[index])]
        file = _copied(split, index, label, given.output)
        pictures.append({"file": valid_text(file.name), "label": valid_text(label)})
    print(json.dumps({"split": name, "pictures": pictures}))
    return 0


def chosen(split: Split, classes: int, count: int) -> list[int]:
    """Positions of pictures: the first of classes that lie evenly apart, then the second of each.

    Args:
        split: holds at least one.
        classes: how many there are.
        count: how many pictures, at most.
    """
    by_class: list[list[int]] = [[] for _ in range(classes)]
    for index, label in enumerate(split.labels.tolist()):
        by_class[label].append(index)
    filled = [members for members in by_class if members]
    if len(filled) > count:
        filled = [filled[round(k * (len(filled) - 1) / max(1, count - 1))] for k in range(count)]
    return sorted(_in_turn(filled, count), key=lambda index: (int(split.labels[index]), index))


def _in_turn(lists: Sequence[Sequence[int]], count: int) -> Iterator[int]:
    given = 0
    for place in range(max(map(len, lists))):
        for members in lists:
            if place < len(members) and given < count:
                given += 1
                yield members[place]


def _copied(split: Split, index: int, label: str, folder: Path) -> Path:
    content = split.source.read(index)
    if isinstance(content, bytes):
        kind = content_type_of(content)
        end = next((end for end, known in CONTENT_TYPES.items() if known == kind), ".jpg")
    else:
        from PIL import Image

        written = io.BytesIO()
        Image.fromarray(content).save(written, format="PNG")
        content, end = written.getvalue(), _PNG
    words = re.sub(r"[^\w.-]+", "-", valid_text(label)).strip("-.") or "picture"
    path = folder / f"{words[:60]}-{index}{end}"
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


if __name__ == "__main__":
    run_program(main)
