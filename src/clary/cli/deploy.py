"""`clary deploy`."""

from __future__ import annotations

import re
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
from clary.sdk.model_sources import stem_of
from clary.sdk.serving import DEFAULT_PORT, require_port, serve
from clary.sdk.session import Session
from clary.settings import Settings

Precision = Literal["auto", "fp32", "bf16", "int8"]
ALONE = Group("Without the service", sort_key=1)
# The service's bound of a variant's instances.
MOST_REPLICAS = 32
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def deploy(
    model: str,
    /,
    *,
    name: str | None = None,
    replicas: int = 1,
    variant: str = DEFAULT_VARIANT,
    precision: Precision = "auto",
    calibrate: Path | None = None,
    env: Annotated[list[str] | None, Parameter(negative=())] = None,
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
        env: A variable of the model's environment, such as SAGEMAKER_PROGRAM=serve.py; give it
            again for each.
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
    require_replicas(replicas)
    environment = variables(env)
    if port is not None and not foreground:
        raise UsageError("--port is for a server of this terminal's: add --foreground")
    if foreground:
        endpoint_options = {
            "--replicas": replicas != 1,
            "--variant": variant != DEFAULT_VARIANT,
            "--instance-type": instance_type is not None,
            "--detach": detach,
        }
        _refuse_with_foreground(endpoint_options, environment)
        return _serve(
            model, settings, name=name, port=port, precision=precision, calibrate=calibrate
        )
    prepare(model, settings, precision, calibrate)
    session = Session.on_this_machine(settings)
    began = time.monotonic()
    choice = ModelChoice(model, precision, environment=environment)
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
    require_service(endpoint, found)
    print(f"{endpoint.name} is in service after {time.monotonic() - began:.1f} s")
    print_next(endpoint, found, asynchronous=False)
    return 0


def prepare(model: str, settings: Settings, precision: Precision, calibrate: Path | None) -> None:
    """Convert a model of this machine unless that is done, and say what int8 costs.

    Raises:
        UsageError: there is no such model, or the precision does not fit it.
        ProgramFailed: it cannot be converted; the program has said why.
    """
    if model.startswith("s3://"):
        if precision == "int8" and calibrate is not None:
            raise UsageError("--calibrate needs the model on this machine: fetch the archive first")
        return
    location = resolve_model(model, settings)
    found = convert(location, settings, precision=precision, pictures=calibrate)
    if found is not None:
        _say_conversion(found)


def require_replicas(replicas: int) -> None:
    """Be sure that this machine's service takes so many.

    Raises:
        UsageError: it does not.
    """
    if not 1 <= replicas <= MOST_REPLICAS:
        raise UsageError(f"--replicas is {replicas} but must be 1 to {MOST_REPLICAS}")


def variables(given: list[str] | None) -> dict[str, str]:
    """The variables that --env names.

    Raises:
        UsageError: one is not NAME=VALUE.
    """
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise UsageError(
                f"--env is {text!r} but must be NAME=VALUE, such as SAGEMAKER_PROGRAM=serve.py"
            )
        found[name] = value
    return found


def _refuse_with_foreground(given: dict[str, bool], environment: dict[str, str]) -> None:
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} is for endpoints: leave it out, or --foreground")
    if environment:
        raise UsageError(
            "--env is for endpoints: with --foreground the model has this shell's variables, "
            f"as in `{next(iter(environment))}=… clary deploy … --foreground`"
        )


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
        name=name or stem_of(location, settings),
        port=chosen,
        precision=precision,
        pictures=calibrate,
    )


def _say_conversion(found: Conversion) -> None:
    if found.made:
        print(f"Made the model ready to be served in {found.seconds:.1f} s", flush=True)
    judged = found.calibration
    if judged is not None:
        count = judged.judged
        judgement = ""
        if judged.accuracy_before is not None and judged.accuracy_after is not None:
            after, before = (
                round(share * count) for share in (judged.accuracy_after, judged.accuracy_before)
            )
            judgement = f"{after:,} answers are right, {before:,} were before; "
        print(
            f"int8 was calibrated on {judged.pictures:,} pictures; of {count:,} others "
            f"{judgement}{round(judged.agreement * count):,} are the same",
            flush=True,
        )
