"""From a model to an endpoint.

    endpoint = deploy("photos-20261121-092159", name="photos", replicas=2)

The same against Clary and AWS, where a model needs an image of AWS's and a role.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from clary.errors import ServiceError, UsageError
from clary.formats.builtin_algorithm import IMAGE
from clary.gpus import count_gpus
from clary.sdk.endpoint import DEFAULT_VARIANT, MADE_FOR, Endpoint, EndpointDescription
from clary.sdk.estimator import NAME_LIMIT, made_up_name
from clary.sdk.model_sources import SCRIPT_IMAGE, ModelSource, bring
from clary.sdk.session import Session, spoken_faults
from clary.sdk.training_job import TrainingJob

# SageMaker's pattern of EndpointName and of VariantName.
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
PRECISION_VARIABLE = "CLARY_PRECISION"


@dataclass(frozen=True)
class ModelChoice:
    """A model, and how it is to be served.

    model:          a job or its name, a model folder, a `model.tar.gz`, or an S3 URI of one
    precision:      of Clary's models: "auto", "fp32", "bf16", or "int8", which wants to be
                    calibrated first (`clary.sdk.converting`)
    image:          of the container; found out when None
    environment:    of the container
    """

    model: str | Path | TrainingJob
    precision: str = "auto"
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def deploy(
    model: ModelChoice | str | Path | TrainingJob,
    *,
    session: Session | None = None,
    name: str | None = None,
    replicas: int = 1,
    variant: str = DEFAULT_VARIANT,
    instance_type: str | None = None,
    wait: bool = True,
) -> Endpoint:
    """Make an endpoint of a model.

    Args:
        model: what to serve; see `ModelChoice`.
        session: of the account; this machine's Clary when None.
        name: at most 63 letters, digits and inner hyphens; made of the model's name when None.
        replicas: how many copies answer.
        variant: the name of the part that serves the model.
        instance_type: a label here, a machine on AWS.
        wait: return when the endpoint is in service.

    Raises:
        UsageError: there is no such model, a name is not allowed or is taken, or replicas are
            none.
        ServiceError: the service refuses it, or the endpoint has failed.
    """
    choice = model if isinstance(model, ModelChoice) else ModelChoice(model)
    session = session or Session.on_this_machine()
    require_names(name, variant, replicas)
    source = bring(session, choice.model)
    endpoint = Endpoint(session, name or free_name(session, source.stem))
    request = {
        "VariantName": variant,
        "InitialInstanceCount": replicas,
        "InstanceType": instance_type or usual_instance(),
        "InitialVariantWeight": 1.0,
    }
    create(endpoint, choice, source, request)
    if wait:
        require_service(endpoint, endpoint.wait())
    return endpoint


def create(
    endpoint: Endpoint, choice: ModelChoice, source: ModelSource, variant: Mapping[str, Any]
) -> None:
    """Ask for an endpoint of one variant; nothing is left behind when it is refused.

    Args:
        endpoint: the new one.
        choice: how the model is to be served.
        source: the model.
        variant: its ProductionVariant without the model's name.

    Raises:
        UsageError: the name is taken.
        ServiceError: the service refuses it.
    """
    client = endpoint.session.client("sagemaker")
    model = create_model(endpoint, choice, source)
    config = model
    try:
        create_config(endpoint, config, [{**variant, "ModelName": model}], {})
        with spoken_faults():
            try:
                client.create_endpoint(EndpointName=endpoint.name, EndpointConfigName=config)
            except ClientError as error:
                said = str(error.response["Error"].get("Message", ""))
                if "existing endpoint" in said or "already exist" in said:
                    raise UsageError(taken(endpoint.name)) from error
                raise
    except BaseException:
        endpoint.forget(config, [model])
        raise


def require_service(
    endpoint: Endpoint, found: EndpointDescription, config_name: str | None = None
) -> None:
    """Be sure that an endpoint serves.

    Args:
        endpoint: the one.
        found: how it stands.
        config_name: what shall be in effect.

    Raises:
        ServiceError: it does not, or a change was taken back; the sentence is the service's.
    """
    if found.status == "InService" and config_name in {None, found.config_name}:
        return
    name = found.name
    reason = (found.failure_reason or "the service does not say why").rstrip(".")
    hints = []
    if next(endpoint.tail().new_lines(), None) is not None:
        hints.append(f"`clary endpoints logs {name}` shows what its replicas said")
    if found.status == "Failed":
        hints.append(f"`clary endpoints delete {name}` removes it")
    hint = f" ({', '.join(hints)})" if hints else ""
    if found.status == "InService":
        raise ServiceError(f"{reason}; {name} answers as before{hint}")
    raise ServiceError(f"the endpoint {name} is {found.status}: {reason}{hint}")


def require_names(name: str | None, variant: str, replicas: int) -> None:
    """Be sure that SageMaker takes what a person has typed.

    Raises:
        UsageError: a name is not allowed, or there shall be no replica.
    """
    for option, given in (("--name", name), ("--variant", variant)):
        if given is not None and not NAME.fullmatch(given):
            raise UsageError(
                f"{option} is {given!r} but must be 1 to {NAME_LIMIT} letters, digits and inner "
                "hyphens, such as ants-and-bees-2"
            )
    if replicas < 1:
        raise UsageError(f"--replicas is {replicas} but must be at least 1")


def usual_instance() -> str:
    """A label, but for the GPU: without one in its name a replica is not given any."""
    return "ml.g5.xlarge" if count_gpus() else "ml.m5.xlarge"


def taken(name: str) -> str:
    """The sentence about a name that another endpoint has."""
    return (
        f"there is an endpoint {name} already: choose another --name, or put the model into it by "
        f"`clary endpoints update {name} MODEL`"
    )


def free_name(session: Session, stem: str) -> str:
    """A name for an endpoint: the stem, or with a number behind it where that is taken.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    words = re.sub(r"[^a-zA-Z0-9]+", "-", stem).strip("-")[: NAME_LIMIT - 15].rstrip("-")
    first = words or "model"
    if session.settings is not None and (session.settings.jobs_dir / first).exists():
        first = f"{first}-endpoint"  # one name for two things would be taken for the job's
    with spoken_faults():
        pages = session.client("sagemaker").get_paginator("list_endpoints")
        found = pages.paginate(NameContains=first)
        names = {one["EndpointName"] for page in found for one in page["Endpoints"]}
    number, name = 2, first
    while name in names:
        name, number = f"{first}-{number}", number + 1
    return name


def create_model(endpoint: Endpoint, choice: ModelChoice, source: ModelSource) -> str:
    """Make a Model for an endpoint; returns its name.

    Raises:
        UsageError: the session is with AWS, and no image of AWS's is chosen.
        ServiceError: the service refuses it.
    """
    image = choice.image or source.image
    if endpoint.session.settings is None and image in {IMAGE, SCRIPT_IMAGE}:
        raise UsageError(
            "on AWS a model needs an image of AWS's: give ModelChoice(…, image=…), such as that of "
            "PyTorch inference in your region; a model of Clary's brings what it needs there"
        )
    environment = dict(choice.environment)
    if choice.precision != "auto":
        environment[PRECISION_VARIABLE] = choice.precision
    container = {
        "Image": image,
        "ModelDataUrl": source.uri,
        "Environment": environment,
    }
    name = made_up_name(endpoint.name)
    with spoken_faults():
        endpoint.session.client("sagemaker").create_model(
            ModelName=name,
            PrimaryContainer=container,
            ExecutionRoleArn=endpoint.session.role,
            Tags=_tags(endpoint),
        )
    return name


def create_config(
    endpoint: Endpoint, name: str, variants: list[dict[str, Any]], more: Mapping[str, Any]
) -> None:
    """Make an EndpointConfig for an endpoint.

    Args:
        endpoint: whose it is.
        name: of the configuration.
        variants: its ProductionVariants.
        more: its other parameters.

    Raises:
        ServiceError: the service refuses it.
    """
    with spoken_faults():
        endpoint.session.client("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=variants, Tags=_tags(endpoint), **more
        )


def _tags(endpoint: Endpoint) -> list[dict[str, str]]:
    return [{"Key": MADE_FOR, "Value": endpoint.name}]
