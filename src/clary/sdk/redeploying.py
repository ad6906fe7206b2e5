"""Another model into an endpoint that runs: in place of a variant's, or as a variant more.

    redeploy(endpoint, ModelChoice("better/model.tar.gz"))
    redeploy(endpoint, ModelChoice("better/model.tar.gz"), variant="better", weight=0.1)
    remove_variant(endpoint, "AllTraffic")

What is there answers until the change is whole, and stays where it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clary.errors import UsageError
from clary.sdk.deploying import (
    ModelChoice,
    create_config,
    create_model,
    require_names,
    require_service,
    usual_instance,
)
from clary.sdk.endpoint import Endpoint, EndpointDescription
from clary.sdk.estimator import made_up_name
from clary.sdk.model_sources import bring
from clary.sdk.session import spoken_faults

# What a new configuration keeps of the earlier one, beside its variants.
_KEPT = ("DataCaptureConfig", "AsyncInferenceConfig", "ShadowProductionVariants", "KmsKeyId")
_NEW_VARIANT = {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0}


def redeploy(
    endpoint: Endpoint,
    choice: ModelChoice,
    *,
    variant: str | None = None,
    replicas: int | None = None,
    weight: float | None = None,
    wait: bool = True,
    watch: Callable[[], EndpointDescription] | None = None,
) -> EndpointDescription:
    """Put a model into an endpoint that runs: in place of a variant's, or as a variant more.

    The earlier model answers until the new one does, and stays where the new one fails.

    Args:
        endpoint: what is changed.
        choice: what to serve.
        variant: whose model is replaced, or the name of a new one; may be left out where there
            is only one.
        replicas: how many copies of it answer; as many as before by default, 1 of a new one.
        weight: its share of the requests; as before by default, 1 of a new one.
        wait: return when the change is over, and forget what is not in effect any more.
        watch: waits in place of `Endpoint.wait`.

    Raises:
        UsageError: there is no such endpoint or model, or no variant is named among several.
        ServiceError: the service refuses the change, or has taken it back.
    """
    found = endpoint.description()
    name = variant or only_variant(found)
    require_names(None, name, 1 if replicas is None else replicas)
    source = bring(endpoint.session, choice.model)
    before = _config(endpoint, found)
    variants = _current_variants(found, before)
    model = create_model(endpoint, choice, source)
    changes = {
        "ModelName": model,
        "InitialInstanceCount": replicas,
        "InitialVariantWeight": weight,
    }
    variants[name] = {
        "VariantName": name,
        **(variants.get(name) or {**_NEW_VARIANT, "InstanceType": usual_instance()}),
        **{key: value for key, value in changes.items() if value is not None},
    }
    watch = watch or endpoint.wait
    return _put(
        endpoint, (found, before), variants, model, made=[model], watch=watch if wait else None
    )


def remove_variant(
    endpoint: Endpoint,
    variant: str,
    *,
    watch: Callable[[], EndpointDescription] | None = None,
) -> EndpointDescription:
    """Take a variant out of an endpoint; returns when the others answer all requests.

    Args:
        endpoint: what is changed.
        variant: the name of the one that goes; another one must be there.
        watch: waits in place of `Endpoint.wait`.

    Raises:
        UsageError: there is no such endpoint or variant, or nobody would be asked without it.
        ServiceError: the service refuses the change, or has taken it back.
    """
    found = endpoint.description()
    require_variant(found, variant)
    before = _config(endpoint, found)
    variants = _current_variants(found, before)
    variants.pop(variant, None)
    if not any(one["InitialVariantWeight"] for one in variants.values()):
        raise UsageError(
            f"without {variant} the endpoint {endpoint.name} has no variant with a weight: give "
            f"another one some, or end it by `clary endpoints delete {endpoint.name}`"
        )
    config = made_up_name(endpoint.name)
    return _put(endpoint, (found, before), variants, config, made=[], watch=watch or endpoint.wait)


def _put(
    endpoint: Endpoint,
    current: tuple[EndpointDescription, Mapping[str, Any]],
    variants: Mapping[str, Mapping[str, Any]],
    config: str,
    *,
    made: list[str],
    watch: Callable[[], EndpointDescription] | None,
) -> EndpointDescription:
    """Bring a new configuration into effect and forget the earlier one, or the new one where it
    fails, with the models that were made for it.
    """
    found, before = current
    earlier = {served.name for served in endpoint.models(found.config_name).values()}
    kept = {key: before[key] for key in _KEPT if before.get(key)}
    try:
        create_config(endpoint, config, [dict(one) for one in variants.values()], kept)
        with spoken_faults():
            endpoint.session.client("sagemaker").update_endpoint(
                EndpointName=endpoint.name, EndpointConfigName=config
            )
    except BaseException:
        endpoint.forget(config, made)
        raise
    if watch is None:
        return endpoint.description()
    after = watch()
    if after.config_name != config:
        endpoint.forget(config, made)
    else:
        shadows = before.get("ShadowProductionVariants") or ()
        serving = {str(one["ModelName"]) for one in (*variants.values(), *shadows)}
        endpoint.forget(found.config_name, earlier - serving)
    require_service(endpoint, after, config)
    return after


def _config(endpoint: Endpoint, found: EndpointDescription) -> dict[str, Any]:
    with spoken_faults():
        config: dict[str, Any] = endpoint.session.client("sagemaker").describe_endpoint_config(
            EndpointConfigName=found.config_name
        )
    return config


def _current_variants(
    found: EndpointDescription, config: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The variants of a configuration, with the weights and replicas that they have by now."""
    now = {variant.name: variant for variant in found.variants if not variant.shadow}
    variants = {}
    for given in config["ProductionVariants"]:
        variant = dict(given)
        current = now.get(variant["VariantName"])
        if current is not None and "ServerlessConfig" not in variant:
            variant["InitialInstanceCount"] = max(1, current.desired_replicas)
        if current is not None:
            variant["InitialVariantWeight"] = current.raw.get("DesiredWeight", current.weight)
        variants[variant["VariantName"]] = variant
    return variants


def require_variant(found: EndpointDescription, variant: str) -> None:
    """Be sure that an endpoint has a variant.

    Raises:
        UsageError: it has not.
    """
    names = [one.name for one in found.variants if not one.shadow]
    if variant not in names:
        raise UsageError(
            f"the endpoint {found.name} has no variant {variant}: it has {', '.join(names)}"
        )


def only_variant(found: EndpointDescription) -> str:
    """The name of an endpoint's one variant.

    Raises:
        UsageError: it has several.
    """
    names = [variant.name for variant in found.variants if not variant.shadow]
    if len(names) != 1:
        raise UsageError(
            f"the endpoint {found.name} has the variants {', '.join(names)}: say which by --variant"
        )
    return names[0]
