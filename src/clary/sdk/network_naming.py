"""A look at the name of the network that is to be trained, before anything else is begun."""

from __future__ import annotations

from clary.errors import ModelError, ProgramFailed
from clary.formats.known_networks import is_surely_known
from clary.formats.training_options import TrainingOptions
from clary.sdk.processes import job_program_output


def require_network(options: TrainingOptions) -> None:
    """Be sure that there is a network of the name that a training asks for.

    Takes no time for those that timm's source names, and seconds for what only timm itself knows.

    Raises:
        ModelError: timm has no such network; the nearest names are given.
        ProgramFailed: it could not be asked, and the program has said why.
    """
    if options.weight_path is not None:
        return  # the earlier model says which network it is
    if is_surely_known(options.model):
        return
    code, said = job_program_output("check_networks", ["--", options.model])
    if said.strip():
        raise ModelError(said.strip())
    if code:
        raise ProgramFailed(code)
