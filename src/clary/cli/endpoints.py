"""`clary endpoints`: list, show, logs, invoke, update, delete."""

from __future__ import annotations

import math
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from clary.cli.deploy import Precision, prepare, require_replicas, variables
from clary.cli.endpoint_progress import print_next, settled
from clary.cli.parser import Switch
from clary.errors import DataError, ServiceError, ServiceUnreachable, UsageError
from clary.formats.picture_inputs import UNKNOWN_PICTURE, content_type_of
from clary.formats.text import counted
from clary.sdk.deploying import ModelChoice, require_service
from clary.sdk.endpoint import DEFAULT_VARIANT, Endpoint, EndpointDescription, ServedModel, Variant
from clary.sdk.endpoint_listing import Figures, figures, list_endpoints, word_for
from clary.sdk.job_listing import has_had_jobs
from clary.sdk.locations import endpoint_names, nearest
from clary.sdk.model_sources import without_time
from clary.sdk.predictor import NPY, Predictor
from clary.sdk.redeploying import only_variant, redeploy, remove_variant, require_variant
from clary.sdk.session import Session
from clary.settings import Settings

app = App(name="endpoints", help="List, show, ask, change and delete endpoints.")

# A narrower terminal has no room for the median.
_WIDE = 100
_TYPES_BY_END = {".json": "application/json", ".npy": NPY, ".csv": "text/csv"}


@app.default
@app.command(name="list")
def list_() -> int:
    """List the endpoints of this machine, the latest first, and how they fared in the last hour.

    Raises:
        ServiceError: the service cannot be started or does not answer.
    """
    settings = Settings.from_environment()
    found: list[EndpointDescription] = []
    if has_had_jobs(settings):
        session = Session.on_this_machine(settings)
        found = list(list_endpoints(session))
    if not found:
        print("No endpoints yet: `clary deploy latest` makes one of the latest training's model.")
        return 0
    known = figures(session, found)
    console = Console(highlight=False)
    wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("endpoint", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("model", overflow="fold")
    for name in ("replicas", "requests", *(("p50 ms",) if wide else ()), "p99 ms", "errors"):
        table.add_column(name, justify="right", no_wrap=True)
    for endpoint in found:
        models = Endpoint(session, endpoint.name).models(endpoint.config_name)
        status = endpoint.status
        for variant in endpoint.variants or (Variant({"VariantName": DEFAULT_VARIANT}),):
            word = without_time(word_for(models.get(variant.name, ServedModel(""))))
            fared = known.get((endpoint.name, variant.name), Figures())
            cells = _figure_cells(variant, fared, wide=wide)
            table.add_row(_row_name(endpoint.name, variant), status, word, *cells)
            status = ""
    console.print(table)
    return 0


@app.command
def show(name: str, /) -> int:
    """Show one endpoint, and what to type with it.

    Args:
        name: The endpoint's name.

    Raises:
        UsageError: there is no such endpoint.
        ServiceError: the service cannot be started or does not answer.
    """
    endpoint = _endpoint(name)
    found = endpoint.description()
    models = endpoint.models(found.config_name)
    known = figures(endpoint.session, [found])
    rows = {
        "endpoint": found.name,
        "status": found.status,
        "why": None if found.status == "InService" else found.failure_reason,
        "created": f"{found.created.astimezone():%Y-%m-%d %H:%M:%S}",
        "captures": _capture_text(found),
    }
    for key, value in rows.items():
        if value:
            print(f"{key:<9} {value}")
    for variant in found.variants:
        _print_variant(variant, models.get(variant.name), known[found.name, variant.name])
    if found.status == "InService":
        if found.failure_reason:
            print(f"The last update was taken back: {found.failure_reason}")
        print_next(endpoint, found, asynchronous="AsyncInferenceConfig" in found.raw)
    elif found.status == "Failed":
        print(f"end       clary endpoints delete {name}")
    return 0


@app.command
def logs(
    name: str,
    /,
    *,
    follow: Annotated[Switch, Parameter(name=("--follow", "-f"))] = False,
    lines: Annotated[int | None, Parameter(name=("--lines", "-n"))] = None,
) -> int:
    """Show what an endpoint's replicas have said: requests, and what scripts print.

    Args:
        name: The endpoint's name.
        follow: Go on with what comes, until Ctrl-C.
        lines: How many of the last lines to begin with; all by default.

    Raises:
        UsageError: there is no such endpoint, or the number of lines is negative.
        ServiceError: the service cannot be started or does not answer.
    """
    endpoint = _endpoint(name)
    said = False
    try:
        known = endpoint.lines(follow=follow, last=lines)
        for line in known if follow else sorted(known, key=lambda one: one.at):
            said = True
            print(f"{_moment(line.at)} {_short(line.host)}: {line.message}", flush=follow)
    except ServiceUnreachable as error:
        raise ServiceError(
            f"{error}; the replicas go on, and `clary endpoints logs {name}` shows them"
        ) from error
    if not said and not follow and lines != 0:
        print(
            f"clary: no replica of {name} has said anything: `clary endpoints show {name}` tells "
            "how it stands",
            file=sys.stderr,
        )
    return 0


@app.command
def invoke(
    name: str,
    body: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    content_type: str | None = None,
    accept: str | None = None,
    variant: str | None = None,
    target_model: str | None = None,
) -> int:
    """Send a file to an endpoint as it is, and print the answer as it is.

    Args:
        name: The endpoint's name.
        body: A file, or - for what comes on the standard input.
        content_type: What the body is; found out by its first bytes or the file's name.
        accept: What the answer shall be, such as application/json;verbose=true.
        variant: Ask this variant; the endpoint chooses by weight by default.
        target_model: With several models in the endpoint, the archive that is meant.

    Raises:
        UsageError: there is no such endpoint.
        DataError: the file cannot be read, or the model refuses it.
        ServiceError: the service or the model fails.
    """
    content = _read(body)
    kind = content_type or _type_of(body, content)
    endpoint = _endpoint(name)
    predictor = Predictor(name, endpoint.session, variant=variant, model=target_model)
    answer = predictor.invoke(content, kind, accept=accept)
    sys.stdout.flush()
    sys.stdout.buffer.write(answer.body)
    if sys.stdout.isatty() and not answer.body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    return 0


@app.command
def update(
    name: str,
    model: str | None = None,
    /,
    *,
    variant: str | None = None,
    replicas: int | None = None,
    weight: float | None = None,
    precision: Precision = "auto",
    calibrate: Path | None = None,
    env: Annotated[list[str] | None, Parameter(negative=())] = None,
    remove: Switch = False,
) -> int:
    """Put another model into an endpoint, or change replicas and weights. No request is lost:
    the old model answers until the new one does, and stays where the new one fails.

    Args:
        name: The endpoint's name.
        model: What `clary deploy` takes; left out, the model stays.
        variant: The part that is changed, or a new one for a model; needed where there are several.
        replicas: How many copies of it answer.
        weight: Its share of the requests, by the sum of all weights.
        precision: The arithmetic of the new model, as for `clary deploy`.
        calibrate: Pictures for int8, a folder of them per class.
        env: A variable of the new model's environment, NAME=VALUE.
        remove: Take the variant out; the others answer all requests then.

    Raises:
        UsageError: there is no such endpoint or model, or nothing is to be changed.
        ServiceError: the service refuses the change, or has taken it back.
    """
    if replicas is not None:
        require_replicas(replicas)
    if weight is not None and not weight >= 0:
        raise UsageError(f"--weight is {weight} but must be at least 0")
    environment = variables(env)
    scaled = replicas is not None or weight is not None
    if model is None and (precision != "auto" or calibrate is not None or environment):
        raise UsageError(
            "--precision, --calibrate and --env are for a model: name one, as in "
            f"`clary endpoints update {name} latest`"
        )
    if remove and (model is not None or scaled or variant is None):
        raise UsageError("--remove goes with --variant, and with nothing else: leave the rest out")
    if model is None and not scaled and not remove:
        raise UsageError(
            f"there is nothing to change: name a model, as in `clary endpoints update {name} "
            "latest`, or give --replicas or --weight"
        )
    settings = Settings.from_environment()
    endpoint = _endpoint(name)
    found = _in_service(endpoint)
    variant = variant or only_variant(found)
    if model is None:
        require_variant(found, variant)
        _require_weight(found, variant, weight)
    else:
        prepare(model, settings, precision, calibrate)
    began = time.monotonic()
    if remove:
        remove_variant(endpoint, variant, watch=lambda: settled(endpoint))
    elif model is None:
        endpoint.scale(variant, replicas=replicas, weight=weight)
        require_service(endpoint, settled(endpoint))
    else:
        redeploy(
            endpoint,
            ModelChoice(model, precision, environment=environment),
            variant=variant,
            replicas=replicas,
            weight=weight,
            watch=lambda: settled(endpoint),
        )
    print(f"{name} is updated after {time.monotonic() - began:.1f} s")
    return 0


@app.command
def delete(*names: str) -> int:
    """End endpoints: what was asked is answered, then their replicas end. Models in S3 stay.

    Args:
        names: The endpoints' names.

    Raises:
        UsageError: there is no such endpoint, or none is named.
        ServiceError: the service refuses it or does not answer.
    """
    if not names:
        raise UsageError(
            "`clary endpoints delete` needs the name of an endpoint: see `clary endpoints`"
        )
    for endpoint in [_endpoint(name) for name in names]:
        archives = sorted({model.data for model in endpoint.models().values() if model.data})
        endpoint.delete()
        stays = f"; what it served stays: {', '.join(archives)}" if archives else ""
        print(f"{endpoint.name} is deleted{stays}")
    return 0


def _in_service(endpoint: Endpoint) -> EndpointDescription:
    found = endpoint.description()
    if found.status != "InService":
        raise UsageError(
            f"{found.name} is {found.status}, and only what is in service can be changed: "
            f"`clary endpoints show {found.name}` tells how far it is"
        )
    return found


def _require_weight(found: EndpointDescription, variant: str, weight: float | None) -> None:
    others = [one.weight for one in found.variants if one.name != variant and not one.shadow]
    if weight == 0 and not any(others):
        raise UsageError(
            f"--weight is 0 but no other variant of {found.name} has a weight: nobody would answer"
        )


def _endpoint(name: str) -> Endpoint:
    """An endpoint of this machine; a name that no endpoint ever had starts no service."""
    settings = Settings.from_environment()
    if not has_had_jobs(settings):
        raise UsageError(f"there is no endpoint {name}, nor any other: `clary deploy` makes one")
    endpoint = Endpoint(Session.on_this_machine(settings), name)
    try:
        endpoint.description()
    except UsageError as error:
        hint = nearest(name, endpoint_names(settings), "see `clary endpoints`")
        raise UsageError(f"there is no endpoint {name}: {hint}") from error
    return endpoint


def _print_variant(variant: Variant, model: ServedModel | None, fared: Figures) -> None:
    served = model or ServedModel("")
    latency = ""
    if not math.isnan(fared.p50_ms):
        latency = f", p50 {fared.p50_ms:.1f} ms, p99 {fared.p99_ms:.1f} ms in the model"
    requests = counted(fared.requests, "request")
    errors = ""
    if fared.errors:
        errors = f", {counted(fared.errors, 'error')}"
    rows = {
        "model": word_for(served) or "deleted meanwhile",
        "archive": served.data,
        "replicas": _replicas(variant),
        "last hour": f"{requests}{latency}{errors}",
    }
    print(f"variant   {_variant_name(variant)}, weight {variant.weight:g}")
    for key, value in rows.items():
        if value:
            print(f"  {key:<9} {value}")


def _row_name(endpoint: str, variant: Variant) -> str:
    usual = variant.name == DEFAULT_VARIANT
    return endpoint if usual else f"{endpoint}/{_variant_name(variant)}"


def _variant_name(variant: Variant) -> str:
    return f"{variant.name} (shadow)" if variant.shadow else variant.name


def _replicas(variant: Variant) -> str:
    if "CurrentServerlessConfig" in variant.raw or "DesiredServerlessConfig" in variant.raw:
        return "on demand"
    if variant.replicas == variant.desired_replicas:
        return str(variant.replicas)
    return f"{variant.replicas} of {variant.desired_replicas}"


def _figure_cells(variant: Variant, fared: Figures, *, wide: bool) -> tuple[str, ...]:
    shown = (fared.p50_ms, fared.p99_ms) if wide else (fared.p99_ms,)
    latencies = ("" if math.isnan(ms) else f"{ms:.1f}" for ms in shown)
    return (_replicas(variant), f"{fared.requests:,}", *latencies, f"{fared.errors:,}")


def _capture_text(found: EndpointDescription) -> str | None:
    capture = found.raw.get("DataCaptureConfig") or {}
    if not capture.get("EnableCapture"):
        return None
    percent = capture.get("CurrentSamplingPercentage", 100)
    return f"{percent} % of the requests, to {capture.get('DestinationS3Uri', '')}"


def _moment(at: datetime) -> str:
    """The time, and the day where that is another one than today."""
    today = datetime.now(at.tzinfo).date()
    return f"{at:%H:%M:%S}" if at.date() == today else f"{at:%Y-%m-%d %H:%M:%S}"


def _short(host: str) -> str:
    """The instance without the variant, where that is the usual one."""
    return host.removeprefix(f"{DEFAULT_VARIANT}/")


def _read(body: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if body == "-" else Path(body).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"{body} cannot be read: {error.strerror or error}") from error


def _type_of(body: str, content: bytes) -> str:
    by_bytes = content_type_of(content)
    if by_bytes != UNKNOWN_PICTURE:
        return by_bytes
    return _TYPES_BY_END.get(Path(body).suffix.lower(), UNKNOWN_PICTURE)
