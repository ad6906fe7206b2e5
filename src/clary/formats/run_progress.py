"""How far a training is right now: `output/progress.json` of its job directory.

The program replaces it a few times a second; who watches reads it as often as it likes. It says
nothing that the log does not say later, so that its loss does no harm. Format version 1; see
`docs/formats/run_progress.md`.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from pydantic import BaseModel, ConfigDict, ValidationError

from clary.formats.job_directory import JobDirectory

VERSION = 1


class RunProgress(BaseModel):
    """Work under way.

    `task` says what, such as `epoch 3/10`; `total` is None where it is not known; `figures` is
    what to show beside the bar, such as `loss 0.312 · 410 img/s`.
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    task: str
    done: int
    total: int | None
    figures: str = ""

    def write(self, directory: JobDirectory) -> None:
        """Replace the file; what cannot be written is left out, for a training goes on."""
        path = directory.progress_file
        temporary = path.with_name(f".{path.name}.tmp")
        with suppress(OSError):
            temporary.write_text(self.model_dump_json() + "\n", encoding="utf-8")
            os.replace(temporary, path)  # noqa: PTH105 - one call less, some times a second

    @classmethod
    def read(cls, directory: JobDirectory) -> RunProgress | None:
        """The progress; None where there is none, or it is of a later version."""
        try:
            content = json.loads(directory.progress_file.read_text(encoding="utf-8"))
            progress = cls.model_validate(content)
        except (OSError, ValueError, ValidationError):
            return None
        return progress if progress.version <= VERSION else None

    @staticmethod
    def remove(directory: JobDirectory) -> None:
        """Nothing is under way any more."""
        with suppress(OSError):
            directory.progress_file.unlink()
