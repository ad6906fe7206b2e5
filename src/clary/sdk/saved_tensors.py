"""What a training's debugger hook saved, wherever it lies: losses, weights, gradients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clary.errors import ProgramFailed
from clary.formats.launch import BASE
from clary.formats.tensor_log import Mirror, TensorLog
from clary.sdk.processes import job_program_output
from clary.sdk.session import Session
from clary.sdk.storage import split_uri

TENSORS = Path("output") / "tensors"
_ORIGINAL_INDEX = "index"


class SavedTensors:
    """A folder of tensors, brought from S3 where it is not here, and brought into Clary's format
    where the original smdebug wrote it. Leaving it removes the copies; one thread at a time.

    Args:
        folder: the tensors' own, or the copy's.
        mirror: fills the copy.
        uri: what is copied.
    """

    def __init__(self, folder: Path, mirror: Mirror | None = None, uri: str | None = None) -> None:
        self._folder = folder
        self._mirror = mirror
        self._uri = uri
        self._copies: list[TemporaryDirectory[str]] = []
        self._converted: Path | None = None
        self._log: TensorLog | None = None

    @classmethod
    def in_s3(cls, session: Session, uri: str) -> SavedTensors:
        """What lies below a URI.

        Raises:
            UsageError: it is no S3 URI.
        """
        split_uri(uri)
        copy = TemporaryDirectory(prefix="clary-tensors-")
        saved = cls(Path(copy.name), Mirror(session.client("s3"), uri, Path(copy.name)), uri)
        saved._copies.append(copy)
        return saved

    def __enter__(self) -> SavedTensors:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """The URI, or the folder."""
        return self._uri or str(self._folder)

    def log(self) -> TensorLog | None:
        """What has been saved so far, read anew; None where there is nothing yet.

        Raises:
            StorageError: S3 refuses, or the copy cannot be written.
            ProgramFailed: what the original smdebug wrote cannot be read.
            FormatError: a file is damaged, or of a later version.
        """
        if self._mirror is not None:
            self._mirror.update()
        if not self._folder.is_dir() or not any(self._folder.iterdir()):
            return None
        folder = self._folder
        if (folder / _ORIGINAL_INDEX).is_dir():
            folder = self._convert()
        self._log = self._log or TensorLog(folder)
        self._log.refresh()
        return self._log

    def close(self) -> None:
        """Remove what was copied and converted."""
        for copy in self._copies:
            copy.cleanup()

    def _convert(self) -> Path:
        if self._converted is None:
            self._copies.append(TemporaryDirectory(prefix="clary-converted-"))
            self._converted = Path(self._copies[-1].name)
        code, _ = job_program_output("convert_tensors", [self.place, str(self._converted)])
        if code:
            raise ProgramFailed(code)
        return self._converted


def tensors_of(session: Session, job: Mapping[str, Any]) -> SavedTensors | None:
    """What a training's hook saves; None where it has no hook.

    Args:
        session: with the service that has the job.
        job: what DescribeTrainingJob said.
    """
    hook = job.get("DebugHookConfig")
    if hook is None:
        return None
    name = str(job["TrainingJobName"])
    settings = session.settings
    if settings is not None and (root := settings.jobs_dir / name).is_dir():
        inside = str(hook.get("LocalPath") or "").removeprefix(f"{BASE}/")
        return SavedTensors(root / (inside or TENSORS))
    return SavedTensors.in_s3(session, f"{hook['S3OutputPath'].rstrip('/')}/{name}/debug-output")
