"""A look at the networks that trials will start from, while something else is done."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.errors import Interrupted, ModelError, ProgramFailed
from clary.formats.training_options import TrainingOptions
from clary.sdk.processes import PROGRAM_ENVIRONMENT, job_command, program_failure
from clary.tuner.ranges import CategoricalRange, Range, Space

_LOOK_S = 0.2


class NetworkCheck:
    """Finds out whether timm has the networks, and fetches their pretrained weights.

    As a context it ends with the block, finished or not.

    Args:
        space: what is searched; None for a single training.
        given: the options that all trials share.
        quiet: keep what the program says on stderr for the error, and off the terminal.
    """

    def __init__(
        self, space: Space | None, given: Mapping[str, Any], *, quiet: bool = False
    ) -> None:
        options = TrainingOptions.parse(given)
        ranges = () if space is None else space.ranges
        self._quiet = quiet
        self._process: subprocess.Popen[str] | None = None
        if options.weight_path is not None or any(tuned.name == "weight_path" for tuned in ranges):
            return  # the earlier model says which network it is
        names = _values("model", ranges, options)
        fetch = ["--fetch"] if "pretrained" in _values("weights", ranges, options) else []
        self._process = subprocess.Popen(
            job_command("check_networks", [*fetch, "--", *names]),
            env={**PROGRAM_ENVIRONMENT, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            encoding="utf-8",
            # Ctrl-C is for the one who waits, who ends it then.
            start_new_session=True,
        )

    def __enter__(self) -> NetworkCheck:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with self._process as process:
                process.terminate()

    def require(self, *, stopped: Callable[[], bool] = lambda: False) -> None:
        """Wait for what it finds.

        Args:
            stopped: asked a few times a second whether nobody waits any more.

        Raises:
            Interrupted: nobody waits any more.
            ModelError: timm has no such network, or its weights can neither be found nor fetched.
            ProgramFailed: it could not look, and has said why.
            ClaryError: it could not look; where it is quiet, with what it has said.
        """
        if self._process is None:
            return
        while True:
            try:
                said, complaint = self._process.communicate(timeout=_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                if stopped():
                    raise Interrupted("stopped while the network was looked for") from None
        if said.strip():
            raise ModelError(said.strip())
        if self._process.returncode and self._quiet:
            raise program_failure("check_networks", self._process.returncode, complaint)
        if self._process.returncode:
            raise ProgramFailed(self._process.returncode)


def _values(name: str, ranges: Sequence[Range], options: TrainingOptions) -> tuple[str, ...]:
    for tuned in ranges:
        if tuned.name == name and isinstance(tuned, CategoricalRange):
            return tuned.values
    return (getattr(options, name),)
