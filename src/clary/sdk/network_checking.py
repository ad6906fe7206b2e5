"""A look at the networks that trainings will start from, while something else is done."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.errors import ModelError, ProgramFailed
from clary.formats.known_networks import is_surely_known
from clary.formats.training_options import TrainingOptions
from clary.sdk.cached_weights import are_of, cached_weights
from clary.sdk.processes import job_command, output_of, program_failure, start_quietly
from clary.tuner.ranges import CategoricalRange, Range, Space

_PROGRAM = "check_networks"


def networks_of(space: Space | None, given: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The networks that trainings will start from, and whether with pretrained weights; none where
    an earlier model says which one it is.

    Args:
        space: what is searched; None for a single training.
        given: the options that all trials share.
    """
    options = TrainingOptions.parse(given)
    ranges = () if space is None else space.ranges
    if options.weight_path is not None or any(tuned.name == "weight_path" for tuned in ranges):
        return (), False
    pretrained = "pretrained" in _values("weights", ranges, options)
    return _values("model", ranges, options), pretrained


class NetworkCheck:
    """Finds out whether timm has the networks, and fetches their pretrained weights.

    That takes seconds, and nothing where names tell that all is there. As a context it ends with
    the block, finished or not.

    Args:
        space: what is searched; None for a single training.
        given: the options that all trials share.
        quiet: keep what the program says on stderr for the error, and off the terminal.
    """

    def __init__(
        self, space: Space | None, given: Mapping[str, Any], *, quiet: bool = False
    ) -> None:
        self._quiet = quiet
        self._process: subprocess.Popen[str] | None = None
        names, fetch = networks_of(space, given)
        if all(map(is_surely_known, names)) and not (fetch and _some_are_missing(names)):
            return
        words = [*(["--fetch"] if fetch else []), "--", *names]
        self._process = start_quietly(job_command(_PROGRAM, words), complaints=not quiet)

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
        found, complaint = output_of(self._process, "the network was looked for", stopped=stopped)
        if found.strip():
            raise ModelError(found.strip())
        if self._process.returncode and self._quiet:
            raise program_failure(_PROGRAM, self._process.returncode, complaint)
        if self._process.returncode:
            raise ProgramFailed(self._process.returncode)


def _some_are_missing(names: Sequence[str]) -> bool:
    """Whether pretrained weights may have to be fetched: the program looks more closely."""
    cached = cached_weights(os.environ)
    return not all(any(are_of(weights, name) for weights in cached) for name in names)


def _values(name: str, ranges: Sequence[Range], options: TrainingOptions) -> tuple[str, ...]:
    for tuned in ranges:
        if tuned.name == name and isinstance(tuned, CategoricalRange):
            return tuned.values
    return (getattr(options, name),)
