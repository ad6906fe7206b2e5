"""`clary deploy`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from clary.cli.endpoint_progress import print_next, settled
from clary.cli.parser import Switch
from clary.errors import UsageError
from clary.sdk.converting import Conversion, convert
from clary.sdk.deploying import ModelChoice, require_names, require_service
from clary.sdk.deploying import deploy as deploy_model
from clary.sdk.endpoint import DEFAULT_VARIANT
from clary.sdk.locations import resolve_model
from clary.sdk.serving import DEFAULT_PORT, require_port, serve
from clary.sdk.session import Session
from clary.settings import Settings

Precision = Literal["auto", "fp32", "bf16", "int8"]
ALONE = Group("Without the service", sort_key=1)


def deploy(
    model: str,
    /,
    *,
    name: str | None = None,
    replicas: int = 1,
    variant: str = DEFAULT_VARIANT,
    precision: Precision = "auto",
    calibrate: Path | None = None,
    instance_type: str | None = None,
    detach: Switch = False,
    foreground: Annotated[Switch, Parameter(group=ALONE)] = False,
    port: Annotated[int | None, Parameter(group=ALONE)] = None,
) -> int:
    """Serve a model: an endpoint that answers requests, and goes on when the terminal is closed.

    Args:
        model: A job's name or folder, latest, a model.tar.gz, a model folder, or an S3 URI.
        name: The endpoint's name; made of the model's name by default.
        replicas: How many copies of the model answer.
        variant: What the part that serves the model is called; a second one is added by
            `clary endpoints update`.
        precision: The arithmetic; auto is bf16 where the processor has it, else fp32. int8 is
            the fastest and needs to be calibrated once.
        calibrate: Pictures for int8, a folder of them per class: what the model was trained on.
        instance_type: A label, for programs that ask; all runs on this machine.
        detach: Return at once; the endpoint goes on starting.
        foreground: Be a plain HTTP server in this terminal until Ctrl-C, with neither service nor
            signatures.
        port: Where it listens then; 8080 by default, 0 for any free port.

    Raises:
        UsageError: there is no such model, or an option does not fit.
        ServiceError: the service cannot be started or refuses it, or the endpoint has failed.
    """
    settings = Settings.from_environment()
    require_names(name, variant, replicas)
    if port is not None and not foreground:
        raise UsageError("--port is for a server of this terminal's: add --foreground")
    if foreground:
        if replicas != 1:
            raise UsageError(
                "--replicas needs the service to share the requests out: leave out --foreground"
            )
        return _serve(
            model, settings, name=name, port=port, precision=precision, calibrate=calibrate
        )
    if model.startswith("s3://"):
        if precision == "int8" and calibrate is not None:
            raise UsageError("--calibrate needs the model on this machine: fetch the archive first")
    else:
        prepare(model, settings, precision, calibrate)
    session = Session.on_this_machine(settings)
    began = time.monotonic()
    choice = ModelChoice(model, precision)
    endpoint = deploy_model(
        choice,
        session=session,
        name=name,
        replicas=replicas,
        variant=variant,
        instance_type=instance_type,
        wait=False,
    )
    copies = "1 replica" if replicas == 1 else f"{replicas} replicas"
    print(f"Deploying {model} as {endpoint.name}, {copies}", flush=True)
    if detach:
        print(f"`clary endpoints show {endpoint.name}` tells how far it is")
        return 0
    found = settled(endpoint)
    require_service(found)
    print(f"{endpoint.name} is in service after {time.monotonic() - began:.1f} s")
    print_next(endpoint, found, asynchronous=False)
    return 0


def prepare(model: str, settings: Settings, precision: Precision, calibrate: Path | None) -> None:
    """Convert a model of this machine unless that is done, and say what int8 costs.

    Raises:
        UsageError: there is no such model, or the precision does not fit it.
        ProgramFailed: it cannot be converted; the program has said why.
    """
    location = resolve_model(model, settings)
    found = convert(location, settings, precision=precision, pictures=calibrate)
    if found is not None:
        _say_conversion(found)


def _serve(
    model: str,
    settings: Settings,
    *,
    name: str | None,
    port: int | None,
    precision: Precision,
    calibrate: Path | None,
) -> int:
    chosen = DEFAULT_PORT if port is None else port
    require_port(chosen)
    location = resolve_model(model, settings)
    return serve(
        location,
        settings,
        name=name or location.name,
        port=chosen,
        precision=precision,
        pictures=calibrate,
    )


def _say_conversion(found: Conversion) -> None:
    if found.made:
        print(f"Made the model ready to be served in {found.seconds:.1f} s", flush=True)
    judged = found.calibration
    if judged is not None:
        judgement = ""
        if judged.accuracy_before is not None and judged.accuracy_after is not None:
            judgement = (
                f"the accuracy is {judged.accuracy_after:.4f}, {judged.accuracy_before:.4f} "
                "before, and "
            )
        print(
            f"int8 was calibrated on {judged.pictures} pictures; on {judged.judged} others "
            f"{judgement}{judged.agreement:.1%} of the answers are the same",
            flush=True,
        )
