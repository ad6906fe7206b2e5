"""A look at the networks that trials will start from, while something else is done."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Any

from clary.errors import ModelError, ProgramFailed
from clary.formats.training_options import TrainingOptions
from clary.sdk.processes import PROGRAM_ENVIRONMENT, job_command
from clary.tuner.ranges import CategoricalRange, Space


class NetworkCheck:
    """Finds out whether timm has the networks, and fetches their pretrained weights.

    As a context it ends with the block, finished or not.

    Args:
        space: what is searched.
        given: the options that all trials share.
    """

    def __init__(self, space: Space, given: Mapping[str, Any]) -> None:
        options = TrainingOptions.parse(given)
        self._process: subprocess.Popen[str] | None = None
        if options.weight_path is not None or "weight_path" in space.names:
            return  # the earlier model says which network it is
        names = _values("model", space, options)
        fetch = ["--fetch"] if "pretrained" in _values("weights", space, options) else []
        self._process = subprocess.Popen(
            job_command("check_networks", [*fetch, "--", *names]),
            env={**PROGRAM_ENVIRONMENT, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
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

    def require(self) -> None:
        """Wait for what it finds.

        Raises:
            ModelError: timm has no such network, or its weights can neither be found nor fetched.
            ProgramFailed: it could not look, and has said why.
        """
        if self._process is None:
            return
        said, _ = self._process.communicate()
        if said.strip():
            raise ModelError(said.strip())
        if self._process.returncode:
            raise ProgramFailed(self._process.returncode)


def _values(name: str, space: Space, options: TrainingOptions) -> tuple[str, ...]:
    for tuned in space.ranges:
        if tuned.name == name and isinstance(tuned, CategoricalRange):
            return tuned.values
    return (getattr(options, name),)
